// Makes one folder for every format and width from a model, and writes Calibrant's logits of fixed tokens beside them, for compare.py to load in Python.
// Build first (npm run build). node tools/interop/transformers/folders.mjs OUT [--model FOLDER] [--only TEXT]
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { officialPlugins } from '../../../apps/cli/dist/official-plugins.js';
import { createCpuBackend } from '../../../packages/backend-cpu/dist/index.js';
import { createRegistry } from '../../../packages/core/dist/index.js';
import { openModel, quantizeModel } from '../../../packages/pipeline/dist/index.js';
import { modelFolder } from '../../../packages/tiny-llama/dist/index.js';
import { openTransformer } from '../../../packages/transformer/dist/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { model: { type: 'string', default: modelFolder }, only: { type: 'string', default: '' } },
});
const out = positionals[0];
if (!out) throw new Error('Give the folder to write.');

/** Token ids of the comparison: spread over the vocabulary, the same for every folder. */
const IDS = Int32Array.from({ length: 24 }, (_, i) => (i * 167 + 11) % 4000);

const gptq = (scheme, version) => ({ scheme, format: { name: 'gptq', options: version ? { version } : {} } });
/** Static scales need calibration text: the model's own. */
const calibration = { source: 'self', samples: 8, length: 64, seed: 0 };
/** Readers compute in the type of the other tensors: f32, so that what differs is not their rounding. */
const bitsandbytes = (scheme) => ({ scheme, format: { name: 'bitsandbytes', options: { dtype: 'f32' } } });
const RECIPES = {
  ...Object.fromEntries(
    [2, 3, 4, 8].flatMap((bits) => [
      [`gptq-v1-int${bits}-sym`, gptq(`int${bits}-g64-sym`, 'gptq')],
      [`gptq-v2-int${bits}-sym`, gptq(`int${bits}-g64-sym`, 'gptq_v2')],
      [`gptq-v2-int${bits}-asym`, gptq(`int${bits}-g64-asym`, 'gptq_v2')],
    ]),
  ),
  'awq-int4-asym': { scheme: 'int4-g64-asym', format: 'awq' },
  'awq-int4-sym': { scheme: 'int4-g64-sym', format: 'awq' },
  'ct-pack-int4-sym': { scheme: 'int4-g64-sym', format: 'compressed-tensors' },
  'ct-pack-int4-asym': { scheme: 'int4-g64-asym', format: 'compressed-tensors' },
  'ct-pack-int4-channel': { scheme: 'int4-channel-sym', format: 'compressed-tensors' },
  'ct-pack-int8-group': { scheme: 'int8-g64-sym', format: 'compressed-tensors' },
  'ct-pack-int2-sym': { scheme: 'int2-g64-sym', format: 'compressed-tensors' },
  'ct-pack-int3-sym': { scheme: 'int3-g64-sym', format: 'compressed-tensors' },
  'ct-int8-channel': { scheme: 'int8-channel-sym', format: 'compressed-tensors' },
  'ct-naive-fp8-channel': { scheme: 'fp8-channel', format: 'compressed-tensors' },
  'ct-naive-fp8-tensor': { scheme: 'fp8-tensor', format: 'compressed-tensors' },
  'ct-float-w8a8-fp8': { scheme: 'fp8-channel', activations: 'fp8-token', format: 'compressed-tensors' },
  'ct-int-w8a8': { scheme: 'int8-channel-sym', activations: 'int8-token', format: 'compressed-tensors' },
  'ct-int-w8a8-asym': { scheme: 'int8-channel-sym', activations: 'int8-token-asym', format: 'compressed-tensors' },
  'ct-int-w8a8-static': { scheme: 'int8-channel-sym', activations: 'int8-tensor-static', calibration, format: 'compressed-tensors' },
  'ct-int-w4a8': { scheme: 'int4-g64-sym', activations: 'int8-token', format: 'compressed-tensors' },
  'ct-int-w4a4': { scheme: 'int4-channel-sym', activations: 'int4-token', format: 'compressed-tensors' },
  'ct-int-w4-fp8': { scheme: 'int4-g64-sym', activations: 'fp8-token', format: 'compressed-tensors' },
  'ct-float-w8a8-fp8-static': { scheme: 'fp8-tensor', activations: 'fp8-tensor-static', calibration, format: 'compressed-tensors' },
  'ct-mixed': { scheme: 'int4-g64-sym', overrides: { '*down_proj*': 'int8-channel-sym' }, format: 'compressed-tensors' },
  'bnb-nf4': bitsandbytes('nf4'),
  'bnb-nf4-dq': bitsandbytes('nf4-dq'),
  'bnb-nf4-g128': bitsandbytes('nf4-g128'),
  'bnb-fp4': bitsandbytes('fp4'),
  'bnb-fp4-dq': bitsandbytes('fp4-dq'),
  'bnb-int8': bitsandbytes('llm-int8'),
  'bnb-int8-grid': bitsandbytes('int8-channel-sym'),
  'native-bnb-nf4': { scheme: 'nf4', format: 'bitsandbytes' },
  'native-bnb-int8': { scheme: 'llm-int8', format: 'bitsandbytes' },
};

const registry = createRegistry(await officialPlugins());
const backend = await createCpuBackend({ threads: 2 });
await mkdir(out, { recursive: true });
const cases = [];
for (const [name, recipe] of Object.entries(RECIPES)) {
  if (!name.includes(values.only)) continue;
  const folder = path.join(out, name);
  try {
    await quantizeModel({ model: values.model, out: folder, force: true, recipe, registry, backend });
    const checkpoint = await openModel(folder, { registry, backend });
    const model = openTransformer(checkpoint, backend);
    const { data, shape } = await model.logits(IDS);
    await writeFile(path.join(out, `${name}.f32`), new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    cases.push({ name, shape });
    await model.release();
    await checkpoint.close();
    console.log(name);
  } catch (error) {
    console.log(`${name}: ${error.message}`);
    cases.push({ name, refused: error.message });
  }
}
await writeFile(path.join(out, 'cases.json'), JSON.stringify({ model: path.resolve(values.model), ids: [...IDS], cases }, null, 1));
await backend.close();
