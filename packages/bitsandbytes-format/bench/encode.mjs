// MB/s of f32 weights through the encoders and decoders: the CPU backend on one thread, and the plain references. npm run bench -w @calibrant/bitsandbytes-format
import { createCpuBackend } from '@calibrant/backend-cpu';
import { bitsandbytesSchemes } from '@calibrant/bitsandbytes-format';
import { createReferenceBackend, tensor } from '@calibrant/core';

const [rows, columns] = [1024, 4096];
const x = tensor(
  'f32',
  [rows, columns],
  Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * 1.7) * Math.sin(i * 0.3)),
);
const facts = { linears: new Set(['w']) };
const backends = { simd: await createCpuBackend({ threads: 1 }), reference: createReferenceBackend() };

for (const scheme of bitsandbytesSchemes()) {
  const grid = scheme.assign([{ name: 'w', source: 'w', shape: [rows, columns] }], facts, scheme.options.parse({})).get('w');
  const figures = {};
  for (const [name, backend] of Object.entries(backends)) {
    const handle = await backend.upload(x);
    const { blocks } = backend.run(grid.encode, { x: handle }, {});
    figures[`${name} encode`] = await best(backend, () => backend.run(grid.encode, { x: handle }, {}).blocks, name);
    figures[`${name} decode`] = await best(backend, () => backend.run(grid.decode, { blocks }, {}).x, name);
    backend.free(handle, blocks);
  }
  console.log(
    scheme.name.padEnd(9),
    Object.entries(figures)
      .map(([what, speed]) => `${what} ${speed.toFixed(0)}`)
      .join('   '),
  );
}
await backends.simd.close();

async function best(backend, run, name) {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < (name === 'simd' ? 7 : 2); i++) {
    const start = performance.now();
    const result = run();
    await backend.download(result);
    backend.free(result);
    least = Math.min(least, performance.now() - start);
  }
  return (rows * columns * 4) / 1e6 / (least / 1000);
}
