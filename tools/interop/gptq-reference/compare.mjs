// Calibrant's GPTQ beside the original algorithm (gptq_reference.py) on the same model, calibration tokens and settings: perplexity on one text, by one evaluator.
// Build first, and make a Python environment with requirements.txt (README.md). Options: --model FOLDER, --calibration FILE, --text FILE, --samples N (64), --length N (512),
// --windows N (32), --seeds N (1: calibration sets), --repeats N (1: dampings of 0.01 · (1 + 0.001 k), which change nothing but how rounding noise falls), --threads N (2),
// --python PATH (python3), --settings LIST (all), --keep FOLDER (the models of the last run stay there, for layer_by_layer.py). Ratios are averaged over seeds and repeats.
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gptq } from '../../../packages/gptq/dist/index.js';
import { openComparison, tableRow } from '../beside.mjs';

const { values, at, perplexity, quantize, calibration, writeTokens, close } = await openComparison(
  { samples: '64', length: '512', windows: '32', repeats: '1', settings: '' },
  [gptq()],
);
const SETTINGS = [
  { name: '4 bits, symmetric', bits: 4, symmetric: true, actOrder: false },
  { name: '4 bits, asymmetric', bits: 4, symmetric: false, actOrder: false },
  { name: '4 bits, symmetric, act-order', bits: 4, symmetric: true, actOrder: true },
  { name: '4 bits, asymmetric, act-order', bits: 4, symmetric: false, actOrder: true },
  { name: '3 bits, asymmetric', bits: 3, symmetric: false, actOrder: false },
  { name: '3 bits, asymmetric, act-order', bits: 3, symmetric: false, actOrder: true },
].filter(({ name }) => !values.settings || values.settings.split(';').includes(name));
const script = fileURLToPath(new URL('./gptq_reference.py', import.meta.url));

/** Both programs' perplexities for each setting, calibrated on the sequences that a seed draws. */
async function run(seed, damp) {
  const drawn = calibration(seed);
  await writeTokens(drawn, at('ids.json'));
  const jobs = SETTINGS.map((setting, i) => ({ ...setting, damp, ids: at('ids.json'), out: at(`original-${i}`), ours: at(`ours-${i}`) }));
  await writeFile(at('jobs.json'), JSON.stringify(jobs));
  execFileSync(values.python, [script, values.model, at('jobs.json'), '--threads', values.threads], { stdio: 'ignore' });
  const pairs = [];
  for (const { name, bits, symmetric, actOrder, out, ours } of jobs) {
    await quantize(values.model, ours, {
      quantizer: { name: 'gptq', options: { actOrder: actOrder ? 'full' : 'none', dampPercent: damp } },
      scheme: `int${bits}-g128-${symmetric ? 'sym' : 'asym'}`,
      format: { name: 'compressed-tensors', options: { scaleDtype: 'f32' } },
      calibration: drawn,
    });
    const pair = [await perplexity(out), await perplexity(ours)];
    pairs.push(pair);
    console.error(`seed ${seed}, ${name}: ${pair.map((value) => value.toFixed(4)).join(', ')}`);
  }
  return pairs;
}

try {
  console.log(`${values.samples} sequences of ${values.length}; full precision: perplexity ${(await perplexity(values.model)).toFixed(4)}`);
  const runs = [];
  for (let seed = 0; seed < Number(values.seeds); seed++)
    for (let k = 0; k < Number(values.repeats); k++) runs.push(await run(seed, 0.01 * (1 + 0.001 * k)));
  console.log('| groups of 128 | original | Calibrant | ratio | standard error |\n| --- | --- | --- | --- | --- |');
  for (const [i, { name }] of SETTINGS.entries()) {
    const [theirs, ours] = [0, 1].map((which) => runs.map((pairs) => pairs[i][which]));
    console.log(tableRow(name, theirs, ours));
  }
} finally {
  await close();
}
