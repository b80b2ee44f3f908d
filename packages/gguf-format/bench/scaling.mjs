// How encoding scales with threads: MB/s of f32 input (1 MB = 10^6 bytes) by the clock, on 1 thread and on more, up to the processors there are.
//   node bench/scaling.mjs [--threads 1,2,4] [--types Q4_K,IQ3_S]
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { tensor } from '@calibrant/core';
import { BLOCK_TYPES } from '../dist/index.js';

const processors = availableParallelism();
const powers = [1, 2, 4, 8, 16, 32, 64].filter((threads) => threads < processors);
const { values: options } = parseArgs({
  options: {
    threads: { type: 'string', default: [...powers, processors].join(',') },
    types: { type: 'string', default: 'Q8_0,Q4_0,Q6_K,Q4_K,Q2_K,IQ4_XS,IQ3_S,IQ2_XS' },
  },
});
const counts = options.threads.split(',').map(Number);
const COLUMNS = 4096;
/** Rows of some tens of milliseconds: as many as a chunk of a large tensor has, or fewer for the slow searches. */
const rowsOf = (type) => (type.startsWith('IQ') ? 128 : /^Q[48]_0$/.test(type) ? 4096 : 1024);
const REPETITIONS = 12;

let seed = 12345;
const uniform = () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return (seed >>> 8) / 2 ** 24;
};
const importance = Float32Array.from({ length: COLUMNS }, () => 0.05 + 4 * uniform() ** 2);

const lanes = counts.map((threads) => ({ threads, backend: createCpuBackend({ threads }) }));
console.log(`| type | ${counts.map((count) => `${count} thread${count > 1 ? 's' : ''}`).join(' | ')} | ratio |`);
console.log(`| --- |${' --- |'.repeat(counts.length + 1)}`);
for (const type of options.types.split(',')) {
  const { encode, needsImportance } = BLOCK_TYPES[type];
  const rows = rowsOf(type);
  const values = Float32Array.from({ length: rows * COLUMNS }, () => 0.04 * (uniform() + uniform() + uniform() + uniform() - 2));
  const best = lanes.map(() => Number.POSITIVE_INFINITY);
  // In turn, so that other programs disturb all alike.
  for (let i = 0; i < REPETITIONS; i++)
    for (const [lane, { backend }] of lanes.entries()) {
      const x = await backend.upload(tensor('f32', [rows, COLUMNS], values));
      const weights = needsImportance ? await backend.upload(tensor('f32', [COLUMNS], importance)) : undefined;
      await backend.sync?.();
      const start = performance.now();
      const { blocks } = backend.run(encode, { x, importance: weights }, {});
      await backend.download(blocks);
      best[lane] = Math.min(best[lane], performance.now() - start);
      for (const buffer of [x, weights, blocks]) if (buffer) backend.free(buffer);
    }
  const rates = best.map((ms) => values.byteLength / 1e3 / ms);
  console.log(`| ${[type, ...rates.map(Math.round), (rates.at(-1) / rates[0]).toFixed(2)].join(' | ')} |`);
}
await Promise.all(lanes.map(({ backend }) => backend.close()));
