// Seconds per layer of GPTQ, 4 bits in groups of 128, on the CPU backend: node bench/gptq.mjs [--large] [--threads N]
// Where python3 (or $PYTHON) has numpy, the same algorithm in numpy is timed beside it.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { createRng, gram, inverseCholesky, parseAffineScheme, parseOptions, tensor } from '@calibrant/core';
import { arrange, diagonal, gptq, solveColumns } from '@calibrant/gptq';

const at = process.argv.indexOf('--threads');
const backend = createCpuBackend(at > 0 ? { threads: Number(process.argv[at + 1]) } : {});
console.log(backend.description);

const sizes = [[256, 256], [768, 256], [2048, 2048], ...(process.argv.includes('--large') ? [[4096, 4096]] : [])];
for (const [rows, columns] of sizes) await measure(rows, columns);
await backend.close();

async function measure(rows, columns) {
  const random = createRng(1);
  const normal = (shape) =>
    tensor(
      'f32',
      shape,
      Float32Array.from({ length: shape[0] * shape[1] }, () => random.normal()),
    );
  const weight = await backend.upload(normal([rows, columns]));
  const x = await backend.upload(normal([columns + 64, columns]));
  const zero = await backend.upload(tensor('f32', [columns, columns]));
  const hessian = backend.run(gram, { h: zero, x }, { scale: 2 / (columns + 64) }).h;
  const plugin = gptq();
  const options = parseOptions(plugin.options, {}, 'gptq');
  const layer = { name: 'layer', weight, scheme: parseAffineScheme('int4-g128-asym'), observations: { hessian, tokens: columns } };
  const quantize = () => plugin.quantize(layer, options, { backend, warn: console.warn });

  const total = await seconds(quantize, columns > 1000 ? 1 : 5);
  const parts = await breakdown(weight, hessian, columns);
  const rest = total - parts.factor - parts.columns;
  const share = (value) => `${value.toFixed(3)} s`;
  console.log(
    `${rows} × ${columns}: ${share(total)} a layer (inverse Cholesky ${share(parts.factor)}, column loop with updates ${share(parts.columns)} ` +
      `= ${((rows * columns * columns) / parts.columns / 1e9).toFixed(1)} GFLOP/s, fit, round-to-nearest, errors and copies ${share(rest)})`,
  );
  backend.free(weight, x, zero, hessian);
  const peer = numpySeconds(rows, columns);
  if (peer) console.log(`  numpy: ${share(peer)} (factor, column loop and updates only), ${(peer / total).toFixed(1)} times ours`);
}

function numpySeconds(rows, columns) {
  const script = fileURLToPath(new URL('./gptq_numpy.py', import.meta.url));
  const { status, stdout } = spawnSync(process.env.PYTHON ?? 'python3', [script, String(rows), String(columns)], { encoding: 'utf8' });
  return status === 0 ? Number(stdout) : undefined;
}

async function breakdown(weight, hessian, columns) {
  const natural = Int32Array.from({ length: columns }, (_, i) => i);
  const order = await backend.upload(tensor('i32', [columns], natural));
  const groups = await backend.upload(
    tensor(
      'i32',
      [columns],
      natural.map((i) => Math.floor(i / 128)),
    ),
  );
  const dead = await backend.upload(tensor('u8', [columns]));
  const values = backend.run(diagonal, { h: hessian }, {}).diagonal;
  const h = backend.run(arrange, { h: hessian, values, order }, {}).y;
  const { u, info } = backend.run(inverseCholesky, { h }, { damp: 0.02 });
  const factor = await seconds(async () => {
    const result = backend.run(inverseCholesky, { h }, { damp: 0.02 });
    backend.free(result.u, result.info);
    await backend.sync();
  });
  const attributes = { bits: 4, groupSize: 128, groupCount: columns / 128, symmetric: false, blockSize: 128 };
  const solve = await seconds(async () => {
    const result = backend.run(solveColumns, { w: weight, u, order, dead, groups }, attributes);
    backend.free(...Object.values(result));
    await backend.sync();
  });
  backend.free(order, groups, dead, values, h, u, info);
  return { factor, columns: solve };
}

/** Best of some runs after one to warm up. */
async function seconds(body, runs = 3) {
  let best = Infinity;
  for (let run = 0; run <= runs; run++) {
    const start = performance.now();
    await body();
    if (run > 0 || runs === 1) best = Math.min(best, (performance.now() - start) / 1000);
  }
  return best;
}
