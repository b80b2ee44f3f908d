// Speed of the CPU backend, with onnxruntime and with WebAssembly alone: node bench/backend-cpu.mjs [onnxruntime|wasm]
import { add, attention, gram, inverseCholesky, linear, matmul, tensor } from '@calibrant/core';
import { createCpuBackend } from '../dist/index.js';

const engines = process.argv[2] ? [process.argv[2]] : ['onnxruntime', 'wasm'];
const results = new Map();
for (const gemm of engines) {
  const backend = createCpuBackend({ gemm });
  console.error(backend.description);
  const random = (...shape) => {
    const value = tensor('f32', shape);
    for (let i = 0; i < value.data.length; i++) value.data[i] = Math.random() - 0.5;
    return value;
  };
  const onLane = (...shape) => backend.upload(random(...shape), { lane: 0 });

  async function measure(name, unit, amount, times, kernel, inputs, attributes) {
    let least = Infinity;
    for (let repetition = 0; repetition < 4; repetition++) {
      const start = performance.now();
      for (let i = 0; i < times; i++) backend.free(...Object.values(backend.run(kernel, inputs, attributes)));
      await backend.sync();
      least = Math.min(least, (performance.now() - start) / times / 1000);
    }
    const row = results.get(name) ?? { unit };
    row[gemm] = unit === 'GFLOP/s' ? amount / least / 1e9 : least * amount;
    results.set(name, row);
    backend.free(...Object.values(inputs));
  }

  const slow = gemm === 'wasm';
  const x = await onLane(1, 8);
  await measure('add of 8 values, per operation', 'µs', 1e6, 3000, add, { a: x, b: x }, {});
  await measure('linear 1×8×8, per operation', 'µs', 1e6, 2000, linear, { x: await onLane(1, 8), w: await onLane(8, 8) }, {});
  for (const n of [256, 1024, 2048])
    await measure(
      `matmul ${n}³, one lane`,
      'GFLOP/s',
      2 * n ** 3,
      n > 1000 ? 1 : 20,
      matmul,
      { a: await onLane(n, n), b: await onLane(n, n) },
      {},
    );
  const big = { x: await backend.upload(random(4096, 1024)), w: await backend.upload(random(1024, 1024)) };
  await measure('linear 4096×1024×1024, all lanes', 'GFLOP/s', 2 * 4096 * 1024 ** 2, slow ? 1 : 3, linear, big, {});
  for (const [tokens, heads, kvHeads] of [
    [512, 4, 2],
    [2048, 8, 8],
  ]) {
    const [q, k, v] = [await onLane(tokens, heads * 64), await onLane(tokens, kvHeads * 64), await onLane(tokens, kvHeads * 64)];
    const attributes = { heads, kvHeads, headDim: 64, scale: 0.125 };
    await measure(
      `attention, ${tokens} tokens, ${heads} heads of 64`,
      'ms',
      1000,
      tokens > 1000 ? 1 : 10,
      attention,
      { q, k, v },
      attributes,
    );
  }
  for (const n of [256, 768, 2048]) {
    const sample = await onLane(n + 64, n);
    const h = backend.run(matmul, { a: sample, b: sample }, { transposeA: true, alpha: 1 / n }).y;
    const empty = await onLane(n, n);
    await measure(`gram, n = ${n}, ${n + 64} tokens`, 'ms', 1000, n > 1000 ? 1 : 5, gram, { h: empty, x: sample }, { scale: 1 });
    await measure(`inverseCholesky, n = ${n}`, 'ms', 1000, n > 1000 ? 1 : 5, inverseCholesky, { h }, { damp: 0.01 });
  }
  await backend.close();
}

console.log(`${''.padEnd(42)}${engines.map((engine) => engine.padStart(13)).join('')}${engines.length > 1 ? '        ratio' : ''}`);
for (const [name, row] of results) {
  const figures = engines.map((engine) => row[engine].toFixed(row[engine] < 10 ? 2 : 1).padStart(13));
  const [a, b] = engines.map((engine) => row[engine]);
  const ratio = engines.length > 1 ? (row.unit === 'GFLOP/s' ? a / b : b / a).toFixed(1).padStart(13) : '';
  console.log(`${`${name} (${row.unit})`.padEnd(42)}${figures.join('')}${ratio}`);
}
