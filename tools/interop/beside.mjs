// What comparisons with another program share: its options, one evaluator for the models of both, calibration tokens that both get, and ratios with their error.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '../../packages/backend-cpu/dist/index.js';
import { calibrationSet } from '../../packages/calibrators/dist/index.js';
import { openModelFolder } from '../../packages/checkpoint/dist/index.js';
import { compressedTensors } from '../../packages/compressed-tensors/dist/index.js';
import { createRegistry } from '../../packages/core/dist/index.js';
import { evaluateModel, quantizeModel } from '../../packages/pipeline/dist/index.js';
import { evaluationTextPath, modelFolder } from '../../packages/tiny-llama/dist/index.js';
import { architectures, openTokenizer } from '../../packages/transformer/dist/index.js';

const SHARED = {
  model: modelFolder,
  calibration: evaluationTextPath,
  text: evaluationTextPath,
  seeds: '1',
  threads: '2',
  python: 'python3',
};

/**
 * @param defaults of the options that a comparison has beside the shared ones, and of `samples`, `length` and `windows`
 * @param plugins methods that it compares
 */
export async function openComparison(defaults, plugins) {
  const options = Object.fromEntries(
    Object.entries({ ...SHARED, ...defaults }).map(([name, value]) => [name, { type: 'string', default: value }]),
  );
  const { values } = parseArgs({ options: { ...options, keep: { type: 'string' } } });
  const registry = createRegistry([architectures, ...plugins, compressedTensors()]);
  const backend = createCpuBackend({ threads: Number(values.threads) });
  const folder = path.resolve(values.keep ?? (await mkdtemp(path.join(tmpdir(), 'calibrant-interop-'))));
  await mkdir(folder, { recursive: true });
  const run = { registry, backend };
  return {
    values,
    at: (name) => path.join(folder, name),
    async perplexity(model) {
      return (await evaluateModel({ model, text: values.text, maxWindows: Number(values.windows), ...run })).perplexity.perplexity;
    },
    quantize: (model, out, recipe) => quantizeModel({ model, out, recipe, force: true, ...run }),
    calibration: (seed) => ({
      source: 'file',
      path: values.calibration,
      samples: Number(values.samples),
      length: Number(values.length),
      seed,
    }),
    /** Writes the token ids of a calibration as JSON, for the other program. */
    async writeTokens(calibration, file) {
      const checkpoint = await openModelFolder(values.model);
      const { sequences } = await calibrationSet(calibration, { tokenizer: await openTokenizer(checkpoint) });
      await checkpoint.close();
      await writeFile(file, JSON.stringify(sequences.map((ids) => [...ids])));
    },
    async close() {
      await backend.close();
      if (!values.keep) await rm(folder, { recursive: true, force: true });
    },
  };
}

const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;

/** A row of a table: both means, the mean ratio of ours to theirs, and its standard error. */
export function tableRow(name, theirs, ours) {
  const ratios = ours.map((value, i) => value / theirs[i]);
  const error = Math.sqrt(mean(ratios.map((ratio) => (ratio - mean(ratios)) ** 2)) / Math.max(1, ratios.length - 1));
  const cells = [mean(theirs), mean(ours), mean(ratios)].map((value) => value.toFixed(4));
  return `| ${[name, ...cells, ratios.length > 1 ? error.toFixed(4) : ''].join(' | ')} |`;
}
