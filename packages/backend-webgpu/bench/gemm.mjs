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

let start = performance.now();
const x = await backend.upload(matrix);
await backend.sync();
report('upload', (4 * size * size) / (performance.now() - start) / 1e6, 'GB/s');
const [w, h] = [await backend.upload(matrix), await backend.upload(tensor('f32', [size, size]))];
await backend.download(x);
start = performance.now();
await backend.download(x);
report('download', (4 * size * size) / (performance.now() - start) / 1e6, 'GB/s');

const flops = 2 * size ** 3;
await time('matmul', () => backend.run(matmul, { a: x, b: w }, {}), flops, 'GFLOP/s');
await time('linear (x·wᵀ)', () => backend.run(linear, { x, w }, {}), flops, 'GFLOP/s');
await time('gram (xᵀx, upper half: counted as n³)', () => backend.run(gram, { h, x }, { scale: 1 }), flops / 2, 'GFLOP/s');
const grid = { bits: 4, groupSize: 128 };
const fit = backend.run(fitAffine, { w }, { ...grid, symmetric: false });
await time('fitAffine (gpu.js)', () => backend.run(fitAffine, { w }, { ...grid, symmetric: false }), 4 * size * size, 'GB/s of f32');
await time('roundAffine (gpu.js)', () => backend.run(roundAffine, { w, ...fit }, grid), 4 * size * size, 'GB/s of f32');
await backend.close();

async function time(name, run, amount, unit) {
  const once = async (count) => {
    for (let i = 0; i < count; i++) backend.free(...Object.values(run()));
    await backend.sync();
  };
  await once(2);
  const begin = performance.now();
  await once(repetitions);
  report(name, (amount * repetitions) / (performance.now() - begin) / 1e6, unit, ((performance.now() - begin) / repetitions).toFixed(2));
}

function report(name, rate, unit, milliseconds) {
  console.log(
    `${name.padEnd(40)} ${String(size).padStart(6)} ${rate.toFixed(2).padStart(10)} ${unit}${milliseconds ? `  (${milliseconds} ms)` : ''}`,
  );
}
