// Calibrant's AWQ beside AutoAWQ on the same model, calibration tokens and settings: perplexity on one text, by one evaluator, all rounded by Calibrant.
// Build first, and make a Python environment with requirements.txt (README.md). Options: --model FOLDER, --calibration FILE, --text FILE, --samples N (64), --length N (128),
// --windows N (24), --seeds N (1: calibration sets), --bits LIST (4,3), --threads N (2), --python PATH (python3), --keep FOLDER. Ratios are averaged over seeds.
import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { awq } from '../../../packages/awq/dist/index.js';
import { rtn } from '../../../packages/rtn/dist/index.js';
import { openComparison, tableRow } from '../beside.mjs';

const { values, at, perplexity, quantize, calibration, writeTokens, close } = await openComparison(
  { samples: '64', length: '128', windows: '24', bits: '4,3' },
  [rtn(), awq()],
);
const script = fileURLToPath(new URL('./autoawq.py', import.meta.url));
const SEARCHES = [
  { name: 'the default, 2,048 tokens in its search', options: {} },
  { name: 'all tokens in its search', options: { searchTokens: Number(values.samples) * Number(values.length) } },
];

async function rounded(model, bits, more = {}) {
  await quantize(model, at('rounded'), { quantizer: 'rtn', scheme: `int${bits}-g128-asym`, format: 'compressed-tensors', ...more });
  return perplexity(at('rounded'));
}

/** The perplexities of AutoAWQ and of each of Calibrant's searches, calibrated on the sequences that a seed draws. */
async function run(bits, seed) {
  const drawn = calibration(seed);
  await writeTokens(drawn, at('tokens.json'));
  await rm(at('reference'), { recursive: true, force: true });
  const env = { ...process.env, CUDA_VISIBLE_DEVICES: '', OMP_NUM_THREADS: values.threads };
  execFileSync(values.python, [script, values.model, at('tokens.json'), at('reference'), bits], { stdio: 'ignore', env });
  const found = [await rounded(at('reference'), bits)];
  for (const { options } of SEARCHES)
    found.push(await rounded(values.model, bits, { transforms: [{ name: 'awq', options }], calibration: drawn }));
  console.error(`${bits} bits, seed ${seed}: ${found.map((value) => value.toFixed(4)).join(', ')}`);
  return found;
}

try {
  console.log(
    `${values.samples} sequences of ${values.length}, ${values.seeds} draws; full precision: perplexity ${(await perplexity(values.model)).toFixed(4)}`,
  );
  console.log('| groups of 128 | AutoAWQ | Calibrant | ratio | standard error |\n| --- | --- | --- | --- | --- |');
  for (const bits of values.bits.split(',')) {
    const runs = [];
    for (let seed = 1; seed <= Number(values.seeds); seed++) runs.push(await run(bits, seed));
    const [theirs, ...ours] = [0, ...SEARCHES.map((_, i) => i + 1)].map((which) => runs.map((found) => found[which]));
    for (const [i, { name }] of SEARCHES.entries()) console.log(tableRow(`${bits} bits, ${name}`, theirs, ours[i]));
  }
} finally {
  await close();
}
