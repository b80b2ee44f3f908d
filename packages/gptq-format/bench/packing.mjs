// Seconds to pack and to read back the linear layers of a Llama of 7 billion weights, from one layer of its MLP: node bench/packing.mjs
import { createCpuBackend } from '@calibrant/backend-cpu';
import { parseAffineScheme, parseOptions, tensor } from '@calibrant/core';
import { gptqFormat } from '@calibrant/gptq-format';
import { formatInput, memoryCheckpoint, memoryFolder, randomLayer, writtenCheckpoint } from '@calibrant/plugin-kit';

const SHAPE = [11008, 4096];
const WEIGHTS_7B = 6.5e9;
const NAME = 'model.layers.0.mlp.up_proj.weight';
const backend = await createCpuBackend();
console.log(backend.description);
const format = gptqFormat();
const options = parseOptions(format.options, {}, 'format');

for (const name of ['int2-g128-sym', 'int3-g128-sym', 'int4-g128-sym', 'int8-g128-sym']) {
  const layer = randomLayer(parseAffineScheme(name), SHAPE);
  const input = formatInput(memoryCheckpoint(new Map([[NAME, tensor('bf16', SHAPE)]]), {}), [NAME]);
  const plan = [{ name: NAME, source: NAME, shape: SHAPE, scheme: layer.scheme }];
  let [packing, reading] = [Infinity, Infinity];
  for (let run = 0; run < 3; run++) {
    const folder = memoryFolder();
    const writer = await format.open(input, plan, folder, options, { backend });
    let started = performance.now();
    await writer.write(plan[0], { rowStart: 0, value: layer });
    packing = Math.min(packing, performance.now() - started);
    await writer.finish();
    const checkpoint = await format.reader.openFolder(writtenCheckpoint(folder), { backend });
    started = performance.now();
    await checkpoint.read(NAME);
    reading = Math.min(reading, performance.now() - started);
  }
  const scaled = (milliseconds) => ((milliseconds / 1000) * WEIGHTS_7B) / (SHAPE[0] * SHAPE[1]);
  console.log(`${name}: pack ${scaled(packing).toFixed(1)} s, read as f32 ${scaled(reading).toFixed(1)} s for 6.5 billion weights`);
}
await backend.close();
