// Time of the AWQ search for one layer: what one trial is made of, and the whole search.
//   npm run bench -w @calibrant/awq [-- SIZE TOKENS]
import { createCpuBackend } from '@calibrant/backend-cpu';
import { createRng, fakeQuantizeAffine, linear, squaredErrors, tensor } from '@calibrant/core';
import { clipRows, groupGrams, searchClip } from '../dist/index.js';

const [size, tokens] = [Number(process.argv[2] ?? 2048), Number(process.argv[3] ?? 2048)];
const attributes = { bits: 4, groupSize: 128, symmetric: false };
const random = createRng(1);
const normal = (...shape) => {
  const value = tensor('f32', shape);
  for (let i = 0; i < value.data.length; i++) value.data[i] = random.normal();
  return value;
};

const backend = await createCpuBackend();
const w = await backend.upload(normal(size, size));
const x = await backend.upload(normal(tokens, size));
const factors = await backend.upload(tensor('f32', [size], normal(size).data.map(Math.exp)));
const { y: exact } = backend.run(linear, { x, w }, {});

async function best(name, work, runs = 5) {
  const times = [];
  for (let i = 0; i < runs + 1; i++) {
    const started = performance.now();
    const made = work();
    await backend.sync();
    times.push(performance.now() - started);
    backend.free(...made);
  }
  const milliseconds = Math.min(...times.slice(1));
  console.log(`${name.padEnd(44)} ${milliseconds.toFixed(1)} ms`);
  return milliseconds;
}

console.log(`${backend.description}; a layer of ${size} × ${size}, ${tokens} tokens, int4-g128-asym`);
const rounding = await best('scale, fit, round, dequantize, unscale', () => [
  backend.run(fakeQuantizeAffine, { w, factors }, attributes).y,
]);
const product = await best('product with the tokens', () => [backend.run(linear, { x, w }, {}).y]);
const error = await best('squared errors', () => [backend.run(squaredErrors, { a: exact, b: exact }, {}).sums]);
console.log(`${'20 trials'.padEnd(44)} ${(20 * (rounding + product + error)).toFixed(0)} ms`);
const { h } = backend.run(groupGrams, { x }, { groupSize: 128 });
await backend.sync();
await best('clip search, 10 ranges', () => Object.values(backend.run(searchClip, { w, h }, { ...attributes, steps: 10 })), 2);
const whole = { bits: 4, symmetric: false, steps: 10 };
const some = await backend.upload(normal(Math.min(512, tokens), size));
const started = performance.now();
const { clipped } = await clipRows(backend, w, some, whole);
await backend.sync();
console.log(`${'clip search of whole rows, 512 tokens'.padEnd(44)} ${(performance.now() - started).toFixed(0)} ms`);
backend.free(clipped);
if (size <= 1024) {
  const { h: all } = backend.run(groupGrams, { x: some }, { groupSize: size });
  const grams = performance.now();
  backend.free(...Object.values(backend.run(searchClip, { w, h: all }, { ...whole, groupSize: size })));
  await backend.sync();
  console.log(`${'the same by Gram matrices, without making them'.padEnd(44)} ${(performance.now() - grams).toFixed(0)} ms`);
}
await backend.close();
