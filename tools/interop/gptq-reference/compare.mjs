// Calibrant's GPTQ beside the original algorithm (gptq_reference.py) on the same model, calibration tokens and settings: perplexity on one text, by one evaluator.
// Build first, and make a Python environment with requirements.txt (README.md). Options: --model FOLDER, --calibration FILE, --text FILE, --samples N (64), --length N (512),
// --windows N (32), --seeds N (1: calibration sets), --repeats N (1: dampings of 0.01 · (1 + 0.001 k), which change nothing but how rounding noise falls), --threads N (2),
// --python PATH (python3), --settings LIST (all), --keep FOLDER (the models of the last run stay there, for layer_by_layer.py). Ratios are averaged over seeds and repeats.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '../../../packages/backend-cpu/dist/index.js';
import { calibrationSet } from '../../../packages/calibrators/dist/index.js';
import { openModelFolder } from '../../../packages/checkpoint/dist/index.js';
import { compressedTensors } from '../../../packages/compressed-tensors/dist/index.js';
import { createRegistry } from '../../../packages/core/dist/index.js';
import { gptq } from '../../../packages/gptq/dist/index.js';
import { evaluateModel, quantizeModel } from '../../../packages/pipeline/dist/index.js';
import { evaluationTextPath, modelFolder } from '../../../packages/tiny-llama/dist/index.js';
import { architectures, openTokenizer } from '../../../packages/transformer/dist/index.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: modelFolder },
    calibration: { type: 'string', default: evaluationTextPath },
    text: { type: 'string', default: evaluationTextPath },
    samples: { type: 'string', default: '64' },
    length: { type: 'string', default: '512' },
    windows: { type: 'string', default: '32' },
    repeats: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    threads: { type: 'string', default: '2' },
    python: { type: 'string', default: 'python3' },
    settings: { type: 'string', default: '' },
    keep: { type: 'string' },
  },
});
const SETTINGS = [
  { name: '4 bits, symmetric', bits: 4, symmetric: true, actOrder: false },
  { name: '4 bits, asymmetric', bits: 4, symmetric: false, actOrder: false },
  { name: '4 bits, symmetric, act-order', bits: 4, symmetric: true, actOrder: true },
  { name: '4 bits, asymmetric, act-order', bits: 4, symmetric: false, actOrder: true },
  { name: '3 bits, asymmetric', bits: 3, symmetric: false, actOrder: false },
  { name: '3 bits, asymmetric, act-order', bits: 3, symmetric: false, actOrder: true },
].filter(({ name }) => !values.settings || values.settings.split(';').includes(name));

const registry = createRegistry([architectures, gptq(), compressedTensors()]);
const backend = createCpuBackend({ threads: Number(values.threads) });
const folder = path.resolve(values.keep ?? (await mkdtemp(path.join(tmpdir(), 'calibrant-gptq-'))));
await mkdir(folder, { recursive: true });
const at = (name) => path.join(folder, name);
const script = fileURLToPath(new URL('./gptq_reference.py', import.meta.url));

async function perplexity(model) {
  const result = await evaluateModel({ model, text: values.text, maxWindows: Number(values.windows), registry, backend });
  return result.perplexity.perplexity;
}

/** Both programs' perplexities for each setting, calibrated on the sequences that a seed draws. */
async function run(seed, damp) {
  const calibration = { source: 'file', path: values.calibration, samples: Number(values.samples), length: Number(values.length), seed };
  const checkpoint = await openModelFolder(values.model);
  const set = await calibrationSet(calibration, { tokenizer: await openTokenizer(checkpoint) });
  await checkpoint.close();
  await writeFile(at('ids.json'), JSON.stringify(set.sequences.map((ids) => [...ids])));
  const jobs = SETTINGS.map((setting, i) => ({ ...setting, damp, ids: at('ids.json'), out: at(`original-${i}`), ours: at(`ours-${i}`) }));
  await writeFile(at('jobs.json'), JSON.stringify(jobs));
  execFileSync(values.python, [script, values.model, at('jobs.json'), '--threads', values.threads], { stdio: 'ignore' });
  const pairs = [];
  for (const [i, { bits, symmetric, actOrder }] of SETTINGS.entries()) {
    const recipe = {
      quantizer: { name: 'gptq', options: { actOrder: actOrder ? 'full' : 'none', dampPercent: damp } },
      scheme: `int${bits}-g128-${symmetric ? 'sym' : 'asym'}`,
      format: { name: 'compressed-tensors', options: { scaleDtype: 'f32' } },
      calibration,
    };
    await quantizeModel({ model: values.model, out: jobs[i].ours, recipe, force: true, registry, backend });
    pairs.push([await perplexity(jobs[i].out), await perplexity(jobs[i].ours)]);
    console.error(
      `seed ${seed}, ${SETTINGS[i].name}: ${pairs
        .at(-1)
        .map((value) => value.toFixed(4))
        .join(', ')}`,
    );
  }
  return pairs;
}

const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;

try {
  console.log(`${values.samples} sequences of ${values.length}; full precision: perplexity ${(await perplexity(values.model)).toFixed(4)}`);
  const runs = [];
  for (let seed = 0; seed < Number(values.seeds); seed++)
    for (let k = 0; k < Number(values.repeats); k++) runs.push(await run(seed, 0.01 * (1 + 0.001 * k)));
  console.log('| groups of 128 | original | Calibrant | ratio | standard error |\n| --- | --- | --- | --- | --- |');
  for (const [i, { name }] of SETTINGS.entries()) {
    const ratios = runs.map((pairs) => pairs[i][1] / pairs[i][0]);
    const spread = Math.sqrt(mean(ratios.map((ratio) => (ratio - mean(ratios)) ** 2)) / Math.max(1, ratios.length - 1));
    const [original, ours] = [0, 1].map((which) => mean(runs.map((pairs) => pairs[i][which])).toFixed(4));
    console.log(`| ${name} | ${original} | ${ours} | ${mean(ratios).toFixed(4)} | ${ratios.length > 1 ? spread.toFixed(4) : ''} |`);
  }
} finally {
  await backend.close();
  if (!values.keep) await rm(folder, { recursive: true, force: true });
}
