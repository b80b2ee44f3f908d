// Time of each calibrator on the weights of the embedded model, relative to min-max: node bench/calibrators.mjs
import { createCpuBackend } from '@calibrant/backend-cpu';
import { openModelFolder } from '@calibrant/checkpoint';
import { convert } from '@calibrant/core';
import { modelFolder } from '@calibrant/tiny-llama';
import { calibrators } from '../dist/index.js';

const backend = createCpuBackend();
const checkpoint = await openModelFolder(modelFolder);
const weights = [];
for (const [name, { shape }] of checkpoint.tensors) {
  if (!/layers.*proj\.weight$/.test(name)) continue;
  const stored = await backend.upload(await checkpoint.read(name));
  weights.push(backend.run(convert, { x: stored }, { to: 'f32' }).y);
  backend.free(stored);
  if (shape.length !== 2) throw new Error(name);
}
const values = weights.reduce((sum, { shape }) => sum + shape[0] * shape[1], 0);
console.log(`${weights.length} weights, ${(values / 1e6).toFixed(2)} million values, ${backend.description}`);

const cases = calibrators().flatMap((calibrator) => {
  const usual = calibrator.options.parse({});
  return calibrator.name === 'mse'
    ? [
        [`${calibrator.name}, norm ${usual.norm}`, calibrator, usual],
        ['mse, norm 2', calibrator, { ...usual, norm: 2 }],
      ]
    : [[calibrator.name, calibrator, usual]];
});
for (const groupSize of ['row', 128])
  for (const bits of [4]) {
    const best = new Map();
    for (let round = 0; round < 5; round++)
      for (const [name, calibrator, options] of cases) {
        await backend.sync();
        const started = performance.now();
        for (const weight of weights) {
          const grid = { bits, symmetric: false, groupSize: groupSize === 'row' ? weight.shape[1] : groupSize };
          const { lows, highs } = calibrator.ranges(backend, weight, grid, options);
          backend.free(lows, highs);
        }
        await backend.sync();
        best.set(name, Math.min(best.get(name) ?? Infinity, performance.now() - started));
      }
    console.log(`\none range per ${groupSize === 'row' ? 'row' : `group of ${groupSize}`}, ${bits} bits, asymmetric`);
    for (const [name, ms] of best)
      console.log(
        `  ${name.padEnd(16)} ${ms.toFixed(1).padStart(8)} ms ${(ms / best.get('minmax')).toFixed(1).padStart(7)} × min-max ${((ms * 1e6) / values).toFixed(1).padStart(7)} ns per value`,
      );
  }
await checkpoint.close();
await backend.close();
