// Calibrant's AWQ beside AutoAWQ on the same model, calibration tokens and settings: perplexity on one text, by one evaluator, all rounded by Calibrant.
// Build first, and make a Python environment with requirements.txt (README.md). Options: --model FOLDER, --calibration FILE, --text FILE, --samples N (64), --length N (128),
// --windows N (24), --seeds N (1: calibration sets), --bits LIST (4,3), --threads N (2), --python PATH (python3). Ratios are averaged over seeds.
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { awq } from '../../../packages/awq/dist/index.js';
import { createCpuBackend } from '../../../packages/backend-cpu/dist/index.js';
import { calibrationSet } from '../../../packages/calibrators/dist/index.js';
import { openModelFolder } from '../../../packages/checkpoint/dist/index.js';
import { compressedTensors } from '../../../packages/compressed-tensors/dist/index.js';
import { createRegistry } from '../../../packages/core/dist/index.js';
import { evaluateModel, quantizeModel } from '../../../packages/pipeline/dist/index.js';
import { rtn } from '../../../packages/rtn/dist/index.js';
import { evaluationTextPath, modelFolder } from '../../../packages/tiny-llama/dist/index.js';
import { architectures, openTokenizer } from '../../../packages/transformer/dist/index.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: modelFolder },
    calibration: { type: 'string', default: evaluationTextPath },
    text: { type: 'string', default: evaluationTextPath },
    samples: { type: 'string', default: '64' },
    length: { type: 'string', default: '128' },
    windows: { type: 'string', default: '24' },
    seeds: { type: 'string', default: '1' },
    bits: { type: 'string', default: '4,3' },
    threads: { type: 'string', default: '2' },
    python: { type: 'string', default: 'python3' },
  },
});
const registry = createRegistry([architectures, rtn(), awq(), compressedTensors()]);
const backend = createCpuBackend({ threads: Number(values.threads) });
const folder = await mkdtemp(path.join(tmpdir(), 'calibrant-awq-'));
const at = (name) => path.join(folder, name);
const script = fileURLToPath(new URL('./autoawq.py', import.meta.url));
const SEARCHES = [
  { name: 'the default, 2,048 tokens in its search', options: {} },
  { name: 'all tokens in its search', options: { searchTokens: Number(values.samples) * Number(values.length) } },
];

async function perplexity(model) {
  return (await evaluateModel({ model, text: values.text, maxWindows: Number(values.windows), registry, backend })).perplexity.perplexity;
}

async function quantized(model, bits, transforms, calibration) {
  const format = { name: 'compressed-tensors', options: {} };
  const recipe = {
    quantizer: { name: 'rtn' },
    transforms,
    scheme: `int${bits}-g128-asym`,
    format,
    ...(calibration ? { calibration } : {}),
  };
  await quantizeModel({ model, out: at('quantized'), recipe, force: true, registry, backend });
  return perplexity(at('quantized'));
}

/** The perplexities of AutoAWQ and of each of Calibrant's searches, calibrated on the sequences that a seed draws. */
async function run(bits, seed) {
  const calibration = { source: 'file', path: values.calibration, samples: Number(values.samples), length: Number(values.length), seed };
  const checkpoint = await openModelFolder(values.model);
  const set = await calibrationSet(calibration, { tokenizer: await openTokenizer(checkpoint) });
  await checkpoint.close();
  await writeFile(at('tokens.json'), JSON.stringify(set.sequences.map((ids) => [...ids])));
  await rm(at('reference'), { recursive: true, force: true });
  const env = { ...process.env, CUDA_VISIBLE_DEVICES: '', OMP_NUM_THREADS: values.threads };
  execFileSync(values.python, [script, values.model, at('tokens.json'), at('reference'), String(bits)], { stdio: 'ignore', env });
  const found = [await quantized(at('reference'), bits, [])];
  for (const { options } of SEARCHES) found.push(await quantized(values.model, bits, [{ name: 'awq', options }], calibration));
  console.error(`${bits} bits, seed ${seed}: ${found.map((value) => value.toFixed(4)).join(', ')}`);
  return found;
}

const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;

try {
  console.log(
    `${values.samples} sequences of ${values.length}, ${values.seeds} draws; full precision: perplexity ${(await perplexity(values.model)).toFixed(4)}`,
  );
  console.log('| groups of 128 | AutoAWQ | Calibrant | ratio | standard error |\n| --- | --- | --- | --- | --- |');
  for (const bits of values.bits.split(',')) {
    const runs = [];
    for (let seed = 1; seed <= Number(values.seeds); seed++) runs.push(await run(Number(bits), seed));
    for (const [i, { name }] of SEARCHES.entries()) {
      const ratios = runs.map((found) => found[i + 1] / found[0]);
      const error = Math.sqrt(mean(ratios.map((ratio) => (ratio - mean(ratios)) ** 2)) / Math.max(1, ratios.length - 1));
      const [theirs, ours] = [0, i + 1].map((which) => mean(runs.map((found) => found[which])).toFixed(4));
      console.log(
        `| ${bits} bits, ${name} | ${theirs} | ${ours} | ${mean(ratios).toFixed(4)} | ${ratios.length > 1 ? error.toFixed(4) : ''} |`,
      );
    }
  }
} finally {
  await backend.close();
  await rm(folder, { recursive: true, force: true });
}
