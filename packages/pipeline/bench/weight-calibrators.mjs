// KL divergence of round-to-nearest by how the ranges of its grids were chosen:
//   node bench/weight-calibrators.mjs [--model FOLDER] [--text FILE] [--windows N] [--schemes int4-tensor-sym,…]
// Without arguments: the embedded model on its own evaluation text.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { calibrators } from '@calibrant/calibrators';
import { compressedTensors } from '@calibrant/compressed-tensors';
import { createRegistry } from '@calibrant/core';
import { evaluateModel, quantizeModel } from '@calibrant/pipeline';
import { rtn } from '@calibrant/rtn';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { architectures } from '@calibrant/transformer';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: modelFolder },
    text: { type: 'string', default: evaluationTextPath },
    windows: { type: 'string', default: '16' },
    schemes: {
      type: 'string',
      default: [8, 4, 3].flatMap((bits) => ['tensor', 'channel', 'g64'].map((unit) => `int${bits}-${unit}-asym`)).join(),
    },
  },
});
const ranges = {
  'min-max': 'minmax',
  'percentile 99.9': { name: 'percentile', options: { percentile: 99.9 } },
  'percentile 99.99': { name: 'percentile', options: { percentile: 99.99 } },
  'mse, norm 2': { name: 'mse', options: { norm: 2 } },
  'mse, norm 2.4': { name: 'mse', options: { norm: 2.4 } },
  entropy: 'entropy',
};
const registry = createRegistry([architectures, rtn(), calibrators(), compressedTensors()]);
const backend = createCpuBackend();
const scratch = await mkdtemp(path.join(tmpdir(), 'calibrant-bench-'));
const out = path.join(scratch, 'model');

console.log(`| RTN | ${Object.keys(ranges).join(' | ')} |`);
console.log(`| --- |${' ---: |'.repeat(Object.keys(ranges).length)}`);
for (const scheme of values.schemes.split(',')) {
  const cells = [];
  for (const calibrator of Object.values(ranges)) {
    await quantizeModel({ model: values.model, out, force: true, recipe: { scheme, calibrator }, registry, backend });
    const { comparison } = await evaluateModel({
      model: out,
      base: values.model,
      text: values.text,
      maxWindows: Number(values.windows),
      registry,
      backend,
    });
    cells.push(comparison.meanKl.toPrecision(3));
  }
  console.log(`| ${scheme} | ${cells.join(' | ')} |`);
}
await backend.close();
await rm(scratch, { recursive: true });
