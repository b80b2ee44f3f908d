// Throughput of the SIMD kernels on one thread against the plain references, MB/s of input: node bench/kernels.mjs
import { activation, convert, dequantizeAffine, fitAffine, packBits, rmsNorm, roundAffine, softmax, tensor } from '@calibrant/core';
import { LaneMemory } from '../dist/index.js';

const ROWS = 512;
const COLUMNS = 2048;
const lane = new LaneMemory();
const f32 = (rows = ROWS, columns = COLUMNS) =>
  tensor(
    'f32',
    [rows, columns],
    Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * 1.7) * 3),
  );
const x = f32();
const weight = tensor('f32', [COLUMNS], new Float32Array(COLUMNS).fill(1));
const grid = { bits: 4, groupSize: 128, symmetric: false };
const range = { start: 0, end: ROWS };
const { scales, zeroPoints } = fitAffine.reference({ w: x }, grid, range);
const { codes } = roundAffine.reference({ w: x, scales, zeroPoints }, grid, range);
const halves = convert.reference({ x }, { to: 'f16' }, range).y;

const cases = [
  ['rmsNorm', rmsNorm, { x, weight }, { eps: 1e-5 }, 'rmsNorm', [COLUMNS, COLUMNS, 1e-5, 0]],
  ['softmax', softmax, { x }, {}, 'softmax', [COLUMNS]],
  ['silu', activation, { x }, { kind: 'silu' }, 'activate', [COLUMNS, 0], ['x', undefined]],
  ['convert f32 to f16', convert, { x }, { to: 'f16' }, 'convert', [COLUMNS, 1, 2]],
  ['convert f32 to bf16', convert, { x }, { to: 'bf16' }, 'convert', [COLUMNS, 1, 3]],
  ['convert f16 to f32', convert, { x: halves }, { to: 'f32' }, 'convert', [COLUMNS, 2, 1]],
  ['fitAffine', fitAffine, { w: x }, grid, 'fitAffine', [COLUMNS, 4, 128, 0]],
  [
    'roundAffine',
    roundAffine,
    { w: x, scales, zeroPoints },
    grid,
    'roundAffine',
    [COLUMNS, COLUMNS / 128, 4, 128],
    ['w', 'scales', 'zeroPoints', undefined],
  ],
  [
    'dequantizeAffine',
    dequantizeAffine,
    { codes, scales, zeroPoints },
    grid,
    'dequantizeAffine',
    [COLUMNS, COLUMNS / 128, 128],
    ['codes', 'scales', 'zeroPoints', undefined],
  ],
  ['packBits', packBits, { codes }, grid, 'packBits', [COLUMNS, 4]],
];

console.log('kernel               SIMD MB/s   reference MB/s   ratio');
for (const [name, kernel, inputs, attributes, exported, scalars, order = Object.keys(inputs)] of cases) {
  const input = Object.values(inputs)[0];
  const buffers = Object.fromEntries(
    Object.entries(inputs).map(([key, value]) => [key, lane.copyIn(value.dtype, value.shape, value.data)]),
  );
  const outputs = Object.values(kernel.infer(inputs, attributes)).map(({ dtype, shape }) => lane.create(dtype, shape));
  const addresses = [...order.map((key) => (key ? buffers[key].address : 0)), ...outputs.map(({ address }) => address)];
  const fast = best(40, () => lane.wasm[exported](ROWS, ...addresses, ...scalars));
  const plain = best(3, () => kernel.reference(inputs, attributes, range));
  const speed = (seconds) => input.data.byteLength / seconds / 1e6;
  console.log(
    `${name.padEnd(20)}${speed(fast).toFixed(0).padStart(10)}${speed(plain).toFixed(0).padStart(17)}${(plain / fast).toFixed(1).padStart(8)}`,
  );
  for (const buffer of [...Object.values(buffers), ...outputs]) lane.release(buffer);
}

function best(times, body) {
  let least = Infinity;
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    body();
    least = Math.min(least, performance.now() - start);
  }
  return least / 1000;
}
