// What rounding inputs and caches adds to the forward pass (blocks and logits of windows of 512 tokens), interleaved with the float pass in one process, best of
// several; also in CPU time of all threads, which other programs on the machine disturb less. Options: --model FOLDER (the embedded model), --threads N (2), --windows N (4), --repeats N (7).
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { openModelFolder } from '@calibrant/checkpoint';
import { parseActivationScheme } from '@calibrant/core';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { openTokenizer, openTransformer, planExecution } from '@calibrant/transformer';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: modelFolder },
    threads: { type: 'string', default: '2' },
    windows: { type: 'string', default: '4' },
    repeats: { type: 'string', default: '7' },
  },
});
const checkpoint = await openModelFolder(values.model);
const ids = (await openTokenizer(checkpoint)).encode(await readFile(evaluationTextPath, 'utf8'));
const windows = Array.from({ length: Number(values.windows) }, (_, i) => ids.slice(i * 512, (i + 1) * 512)).filter(
  ({ length }) => length === 512,
);
const backend = createCpuBackend({ threads: Number(values.threads) });
const { description } = openTransformer(checkpoint, backend);

const cases = [
  ['float', undefined, undefined],
  ['int8-token', 'int8-token', undefined],
  ['int8-token, cache fp8-token', 'int8-token', 'fp8-token'],
  ['fp8-token', 'fp8-token', undefined],
  ['int4-g32-asym', 'int4-g32-asym', undefined],
].map(([name, activations, cache]) => {
  const execution = planExecution(description, {
    ...(activations ? { activations: parseActivationScheme(activations) } : {}),
    ...(cache ? { keyValueCache: parseActivationScheme(cache) } : {}),
  });
  return { name, model: openTransformer(checkpoint, backend, { execution }), seconds: Infinity, cpu: Infinity };
});
for (let i = 0; i <= Number(values.repeats); i++)
  for (const item of cases) {
    const [started, used] = [performance.now(), process.cpuUsage()];
    for (const hidden of await item.model.run(windows)) backend.free(hidden, await item.model.head(hidden));
    await backend.sync();
    if (i === 0) continue;
    item.seconds = Math.min(item.seconds, (performance.now() - started) / 1000);
    item.cpu = Math.min(item.cpu, process.cpuUsage(used).user / 1e6);
  }
for (const { name, seconds, cpu, model } of cases) {
  const rate = Math.round((windows.length * 512) / seconds).toLocaleString('en');
  const ratios = [seconds / cases[0].seconds, cpu / cases[0].cpu].map((ratio) => ratio.toFixed(3));
  console.log(`${name.padEnd(30)} ${rate.padStart(8)} tokens/s   ${ratios[0]} times the float pass, in CPU time ${ratios[1]}`);
  await model.release();
}
await backend.close();
await checkpoint.close();
