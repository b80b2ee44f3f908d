// Calibrant's GPTQ beside the original algorithm (gptq_reference.py) on the same model, calibration tokens and settings: perplexity on one text, by one evaluator.
// Build first, and make a Python environment with requirements.txt (README.md). Options: --model FOLDER, --calibration FILE, --text FILE, --samples N (64), --length N (512),
// --windows N (32), --python PATH (python3), --settings LIST (all).
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '../../../packages/backend-cpu/dist/index.js';
import { calibrationSet } from '../../../packages/calibrators/dist/index.js';
import { openModelFolder } from '../../../packages/checkpoint/dist/index.js';
import { compressedTensors } from '../../../packages/compressed-tensors/dist/index.js';
import { createRegistry } from '../../../packages/core/dist/index.js';
import { gptq } from '../../../packages/gptq/dist/index.js';
import { evaluateModel, quantizeModel } from '../../../packages/pipeline/dist/index.js';
import { evaluationTextPath, modelFolder } from '../../../packages/tiny-llama/dist/index.js';
import { architectures, openTokenizer } from '../../../packages/transformer/dist/index.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: modelFolder },
    calibration: { type: 'string', default: evaluationTextPath },
    text: { type: 'string', default: evaluationTextPath },
    samples: { type: 'string', default: '64' },
    length: { type: 'string', default: '512' },
    windows: { type: 'string', default: '32' },
    python: { type: 'string', default: 'python3' },
    settings: { type: 'string', default: '' },
  },
});
const SETTINGS = [
  { name: '4 bits, symmetric', bits: 4, symmetric: true, actOrder: false },
  { name: '4 bits, asymmetric', bits: 4, symmetric: false, actOrder: false },
  { name: '4 bits, symmetric, act-order', bits: 4, symmetric: true, actOrder: true },
  { name: '4 bits, asymmetric, act-order', bits: 4, symmetric: false, actOrder: true },
  { name: '3 bits, asymmetric', bits: 3, symmetric: false, actOrder: false },
  { name: '3 bits, asymmetric, act-order', bits: 3, symmetric: false, actOrder: true },
].filter(({ name }) => !values.settings || values.settings.split(';').includes(name));

const calibration = { source: 'file', path: values.calibration, samples: Number(values.samples), length: Number(values.length), seed: 0 };
const registry = createRegistry([architectures, gptq(), compressedTensors()]);
const backend = createCpuBackend({ threads: 2 });
const folder = await mkdtemp(path.join(tmpdir(), 'calibrant-gptq-'));
const at = (name) => path.join(folder, name);
const script = fileURLToPath(new URL('./gptq_reference.py', import.meta.url));
try {
  const checkpoint = await openModelFolder(values.model);
  const set = await calibrationSet(calibration, { tokenizer: await openTokenizer(checkpoint) });
  await checkpoint.close();
  await writeFile(at('ids.json'), JSON.stringify(set.sequences.map((ids) => [...ids])));
  const perplexity = async (model) => {
    const result = await evaluateModel({ model, text: values.text, maxWindows: Number(values.windows), registry, backend });
    return result.perplexity.perplexity;
  };
  console.log(
    `${set.sequences.length} sequences, ${set.tokens} tokens; full precision: perplexity ${(await perplexity(values.model)).toFixed(4)}`,
  );
  console.log('| groups of 128 | original | Calibrant | ratio |\n| --- | --- | --- | --- |');
  for (const { name, bits, symmetric, actOrder } of SETTINGS) {
    const flags = [...(symmetric ? ['--symmetric'] : []), ...(actOrder ? ['--act-order'] : [])];
    execFileSync(values.python, [script, values.model, at('original'), '--ids', at('ids.json'), '--bits', String(bits), ...flags], {
      stdio: 'ignore',
    });
    const recipe = {
      quantizer: { name: 'gptq', options: { actOrder: actOrder ? 'full' : 'none' } },
      scheme: `int${bits}-g128-${symmetric ? 'sym' : 'asym'}`,
      format: { name: 'compressed-tensors', options: { scaleDtype: 'f32' } },
      calibration,
    };
    await quantizeModel({ model: values.model, out: at('ours'), recipe, force: true, registry, backend });
    const [original, ours] = [await perplexity(at('original')), await perplexity(at('ours'))];
    console.log(`| ${name} | ${original.toFixed(4)} | ${ours.toFixed(4)} | ${(ours / original).toFixed(4)} |`);
  }
} finally {
  await backend.close();
  await rm(folder, { recursive: true, force: true });
}
