// One command for a machine with a GPU: the conformance suite, rounding against the reference, then the benchmark. Needs the built
// packages and no test runner.
import { createWebgpuBackend } from '@calibrant/backend-webgpu';
import { createRng, fitAffine, roundAffine, tensor } from '@calibrant/core';
import { testBackend } from '@calibrant/plugin-kit';
import { createMiniFramework } from './mini-framework.mjs';

const framework = createMiniFramework();
testBackend(() => createWebgpuBackend(), framework);
const { passed, failed } = await framework.run();
console.log(`conformance: ${passed} passed, ${failed} failed`);
let different = 0;
for (const symmetric of [false, true]) for (const bits of [2, 4, 8]) different += await compareRounding(bits, symmetric);
if (failed > 0 || different > 0) process.exitCode = 1;
await import('./gemm.mjs');

/** How many scales, zero points and codes of a million normal weights are not those of the reference. */
async function compareRounding(bits, symmetric) {
  const [rows, columns, groupSize] = [1024, 1024, 32];
  const rng = createRng(bits);
  const w = tensor(
    'f32',
    [rows, columns],
    new Float32Array(rows * columns).map(() => 0.02 * rng.normal()),
  );
  const range = { start: 0, end: rows };
  const grid = fitAffine.reference({ w }, { bits, groupSize, symmetric }, range);
  const { codes } = roundAffine.reference({ w, ...grid }, { bits, groupSize }, range);
  const backend = await createWebgpuBackend();
  const weight = await backend.upload(w);
  const fitted = backend.run(fitAffine, { w: weight }, { bits, groupSize, symmetric });
  const rounded = backend.run(roundAffine, { w: weight, ...fitted }, { bits, groupSize });
  let different = 0;
  for (const [name, want] of Object.entries({ ...grid, codes })) {
    const { data } = await backend.download({ ...fitted, ...rounded }[name]);
    const count = want.data.reduce((sum, value, i) => sum + (value === data[i] ? 0 : 1), 0);
    console.log(`${bits} bits${symmetric ? ', symmetric' : ''}: ${count} of ${data.length} ${name} differ from the reference`);
    different += count;
  }
  await backend.close();
  return different;
}
