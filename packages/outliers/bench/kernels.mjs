// Best throughput of the kernels on one lane of the CPU backend (copies of operands included) against the plain references: node bench/kernels.mjs
import { createCpuBackend } from '@calibrant/backend-cpu';
import { createRng, tensor } from '@calibrant/core';
import {
  channelStatistics,
  columnBins,
  magnitudeCounts,
  rowMedians,
  rowPeaks,
  rowStatistics,
  scaleChannels,
  valueCounts,
} from '@calibrant/outliers';

const ROWS = 512;
const COLUMNS = 4096;
const random = createRng(1);
const x = tensor(
  'f32',
  [ROWS, COLUMNS],
  Float32Array.from({ length: ROWS * COLUMNS }, () => random.normal()),
);
const vector = (value) => tensor('f32', [3], Float32Array.of(value, 2 * value, 3 * value));
const factors = tensor('f64', [COLUMNS], new Float64Array(COLUMNS).fill(0.5));
const cases = [
  [channelStatistics, { x }, { threshold: 6 }],
  [rowStatistics, { x }, {}],
  [rowMedians, { x }, {}],
  [rowPeaks, { x }, {}],
  [magnitudeCounts, { x }, {}],
  [valueCounts, { x, upper: vector(1), lower: vector(-1) }, { low: -5, perUnit: 10, bins: 100 }],
  [columnBins, { x, perUnit: tensor('f32', [COLUMNS], new Float32Array(COLUMNS).fill(45)) }, { bins: 66 }],
  [scaleChannels, { x, columnFactors: factors }, { offset: 0 }],
];

const backend = createCpuBackend({ threads: 1 });
console.log('kernel                        SIMD MB/s   reference MB/s   ratio');
for (const [kernel, inputs, attributes] of cases) {
  const handles = {};
  for (const [name, value] of Object.entries(inputs)) handles[name] = await backend.upload(value, { lane: 0 });
  let [fast, plain] = [Infinity, Infinity];
  for (let i = 0; i < 24; i++) {
    fast = Math.min(fast, await seconds(() => runOnce(kernel, handles, attributes)));
    if (i % 4 === 0) plain = Math.min(plain, await seconds(() => kernel.reference(inputs, attributes, { start: 0, end: ROWS })));
  }
  const speed = (time) => (x.data.byteLength / time / 1e6).toFixed(0);
  console.log(`${kernel.name.padEnd(30)}${speed(fast).padStart(9)}${speed(plain).padStart(17)}${(plain / fast).toFixed(1).padStart(8)}`);
  backend.free(...Object.values(handles));
}
await backend.close();

async function runOnce(kernel, handles, attributes) {
  const outputs = backend.run(kernel, handles, attributes);
  await backend.sync();
  backend.free(...Object.values(outputs));
}

async function seconds(body) {
  const start = performance.now();
  await body();
  return (performance.now() - start) / 1000;
}
