// Throughput of the dense kernels and of rounding on the adapter at hand: node bench/gemm.mjs [size]
import { createWebgpuBackend } from '@calibrant/backend-webgpu';
import { createRng, fitAffine, gram, linear, matmul, roundAffine, tensor } from '@calibrant/core';

const backend = await createWebgpuBackend();
const { adapter } = backend;
console.log(`${backend.description}: ${adapter.vendor} ${adapter.architecture}`);
const size = Number(process.argv[2] ?? (adapter.software ? 256 : 4096));
const repetitions = adapter.software ? 1 : 10;

const rng = createRng(1);
const values = new Float32Array(size * size).map(() => rng.uniform() - 0.5);
const matrix = tensor('f32', [size, size], values);

const bytes = 4 * size * size;
const [x, w, h] = [await backend.upload(matrix), await backend.upload(matrix), await backend.upload(tensor('f32', [size, size]))];
// A download makes new memory: the host alone takes this long to do that and fill it.
await time('copy on the host to new memory', () => new Float32Array(size * size).set(values), bytes, 'GB/s');
await time('upload', async () => backend.free(await backend.upload(matrix)), bytes, 'GB/s');
await time('download', () => backend.download(x), bytes, 'GB/s');

const flops = 2 * size ** 3;
await time(
  'matmul',
  queued(() => backend.run(matmul, { a: x, b: w }, {})),
  flops,
  'GFLOP/s',
);
await time(
  'linear (x·wᵀ)',
  queued(() => backend.run(linear, { x, w }, {})),
  flops,
  'GFLOP/s',
);
await time(
  'gram (xᵀx, upper half: counted as n³)',
  queued(() => backend.run(gram, { h, x }, { scale: 1 })),
  flops / 2,
  'GFLOP/s',
);
const grid = { bits: 4, groupSize: 128 };
const fit = backend.run(fitAffine, { w }, { ...grid, symmetric: false });
await time(
  'fitAffine (gpu.js)',
  queued(() => backend.run(fitAffine, { w }, { ...grid, symmetric: false })),
  bytes,
  'GB/s of f32',
);
await time(
  'roundAffine (gpu.js)',
  queued(() => backend.run(roundAffine, { w, ...fit }, grid)),
  bytes,
  'GB/s of f32',
);
await backend.close();

function queued(run) {
  return () => backend.free(...Object.values(run()));
}

/** Runs it a few times first: the first touch of staging memory, and compilation, are paid once. */
async function time(name, run, amount, unit) {
  const repeat = async (count) => {
    for (let i = 0; i < count; i++) await run();
    await backend.sync();
  };
  await repeat(adapter.software ? 1 : 3);
  const start = performance.now();
  await repeat(repetitions);
  const milliseconds = (performance.now() - start) / repetitions;
  const rate = (amount / milliseconds / 1e6).toFixed(2);
  console.log(`${name.padEnd(40)} ${String(size).padStart(6)} ${rate.padStart(10)} ${unit}  (${milliseconds.toFixed(2)} ms)`);
}
