// KL divergence of GGUF block types by how their codes were chosen, at the same bytes:
//   node bench/gguf-rounding.mjs [--model FOLDER] [--text FILE] [--windows N] [--calibration FILE] [--samples N] [--length N] [--types Q4_K,Q2_K,…]
//     [--search refined] [--methods importance,GPTQ]
// Without arguments: the embedded model, calibrated on text that it generates itself, on its own evaluation text.
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { createRegistry, defineScheme } from '@calibrant/core';
import { blockScheme, ggufFormat } from '@calibrant/gguf-format';
import { gptq } from '@calibrant/gptq';
import { evaluateModel, makeImportanceMatrix, quantizeModel } from '@calibrant/pipeline';
import { rtn } from '@calibrant/rtn';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { architectures } from '@calibrant/transformer';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: modelFolder },
    text: { type: 'string', default: evaluationTextPath },
    windows: { type: 'string', default: '16' },
    calibration: { type: 'string' },
    samples: { type: 'string', default: '64' },
    length: { type: 'string', default: '256' },
    search: { type: 'string', default: 'ggml' },
    methods: { type: 'string', default: 'no importance,importance,GPTQ' },
    types: { type: 'string', default: 'Q2_K,Q3_K,Q4_0,IQ4_NL,Q4_K,Q5_K,Q6_K' },
  },
});
const calibration = {
  ...(values.calibration ? { source: 'file', path: values.calibration } : { source: 'self' }),
  samples: Number(values.samples),
  length: Number(values.length),
};
/** One type for all linear layers, Q6_K for the embedding and the head. */
const uniform = (type) =>
  defineScheme({
    name: type,
    meta: { description: `${type} for all linear layers`, package: '@calibrant/pipeline' },
    // No options.
    options: rtn().options,
    assign: (tensors, { linears }) =>
      new Map(
        tensors.map(({ name, source, shape }) => [
          name,
          linears.has(source) ? blockScheme(type, { search: values.search }) : shape.length > 1 ? blockScheme('Q6_K') : undefined,
        ]),
      ),
  });
const types = values.types.split(',');
const registry = createRegistry([architectures, rtn(), gptq(), ggufFormat(), ...types.map(uniform)]);
const backend = createCpuBackend();
const scratch = await mkdtemp(path.join(tmpdir(), 'calibrant-bench-'));
const allMethods = {
  'no importance': {},
  importance: { importance: { file: path.join(scratch, 'imatrix.gguf') } },
  GPTQ: { quantizer: 'gptq', calibration },
};
const methods = values.methods.split(',').map((name) => [name, allMethods[name]]);

async function divergence(type, name, recipe) {
  const out = path.join(scratch, `${type}-${name}`.replace(/ /g, '-'));
  const run = { registry, backend };
  const { files } = await quantizeModel({ model: values.model, recipe: { ...recipe, scheme: type, format: 'gguf' }, out, ...run });
  const bytes = (await stat(files[0])).size;
  const { comparison } = await evaluateModel({
    model: files[0],
    base: values.model,
    text: values.text,
    maxWindows: Number(values.windows),
    ...run,
  });
  await rm(out, { recursive: true });
  return { bytes, meanKl: comparison.meanKl };
}

try {
  await makeImportanceMatrix({ model: values.model, calibration, out: path.join(scratch, 'imatrix.gguf'), registry, backend });
  const names = methods.map(([name]) => name);
  const compared = names.includes('GPTQ') && names.includes('importance');
  console.log(
    `| type | bytes | ${[...names, ...(compared ? ['GPTQ / importance'] : [])].join(' | ')} |\n| --- |${' --- |'.repeat(names.length + (compared ? 2 : 1))}`,
  );
  for (const type of types) {
    const results = [];
    for (const [name, recipe] of methods) results.push(await divergence(type, name, recipe));
    const sizes = new Set(results.map(({ bytes }) => bytes));
    const figures = results.map(({ meanKl }) => meanKl.toFixed(5));
    if (compared) figures.push((results[names.indexOf('GPTQ')].meanKl / results[names.indexOf('importance')].meanKl).toFixed(2));
    console.log(`| ${type} | ${[...sizes].join(', ')} | ${figures.join(' | ')} |`);
  }
} finally {
  await backend.close();
  await rm(scratch, { recursive: true, force: true });
}
