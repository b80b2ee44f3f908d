// The quality table of the documentation: every method on a model and on its twin with outlier channels, measured against full precision.
// npm run quality -- --model FOLDER --calibration FILE --text FILE [--samples 128] [--length 512] [--windows N] [--jobs N] [--threads N] [--only TEXT] [--out FILE]
// What --out already holds of the same settings is not measured again: a run that was stopped goes on.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { GROUPS } from './recipes.mjs';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    calibration: { type: 'string' },
    text: { type: 'string' },
    samples: { type: 'string', default: '128' },
    length: { type: 'string', default: '512' },
    windows: { type: 'string' },
    jobs: { type: 'string', default: '1' },
    threads: { type: 'string' },
    only: { type: 'string' },
    out: { type: 'string', default: 'apps/docs-site/data/quality.json' },
  },
});
for (const option of ['model', 'calibration', 'text'])
  if (values[option] === undefined) {
    console.error(`Give --${option}: npm run quality -- --model FOLDER --calibration FILE --text FILE`);
    process.exit(2);
  }

const { loadRegistry, renderTable } = await import('@calibrant/cli');
const { evaluateModel, injectOutliers } = await import('@calibrant/pipeline');
const { createCpuBackend } = await import('@calibrant/backend-cpu');

const scratch = mkdtempSync(path.join(tmpdir(), 'calibrant-quality-'));
const maxWindows = values.windows && Number(values.windows);
const calibration = {
  source: 'file',
  path: values.calibration,
  samples: Number(values.samples),
  length: Number(values.length),
  seed: 0,
};
let runs = 0;
const settings = { text: path.basename(values.text), ...(maxWindows ? { windows: maxWindows } : {}) };
const calibratedOn = { text: path.basename(values.calibration), samples: calibration.samples, length: calibration.length };

try {
  const models = await prepare();
  const earlier = groupsOf(values.out);
  const groups = GROUPS.map(({ title, runs }) => {
    const before = earlier.find((group) => group.title === title);
    if (!runs.some((run) => isWanted(title, run))) return before ?? { title, calibration: calibratedOn, rows: [] };
    const known = before && isDeepStrictEqual(before.calibration, calibratedOn) ? before.rows : [];
    const rows = runs.map(({ name, recipe }) => ({
      name,
      recipe,
      results: known.find((row) => isDeepStrictEqual(row.recipe, recipe))?.results ?? [],
    }));
    return { title, calibration: calibratedOn, rows };
  });
  const open = groups.flatMap(({ title, rows }) =>
    rows.flatMap((row) => {
      if (!isWanted(title, row)) return [];
      const missing = models.filter(({ name }) => !row.results.some(({ model }) => model === name));
      return missing.map((model) => () => complete(row, model, groups, models));
    }),
  );
  console.error(`${open.length} runs, ${values.jobs} at a time.`);
  await Promise.all(
    Array.from({ length: Number(values.jobs) }, async () => {
      for (let next = open.shift(); next; next = open.shift()) await next();
    }),
  );
  save(groups, models);
  show(groups, models);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** Makes the twin, and stores what both models say in full precision. */
async function prepare() {
  const backend = await createCpuBackend();
  const common = { registry: await loadRegistry(), backend };
  const twin = path.join(scratch, 'twin');
  const models = [];
  try {
    await injectOutliers({
      model: values.model,
      out: twin,
      channels: 4,
      factor: 50,
      seed: 0,
      ...common,
    });
    const name = path.basename(values.model);
    for (const base of [
      { name, folder: values.model },
      { name: `${name} with outliers`, folder: twin },
    ]) {
      const saved = logits(base.name);
      const measured = await evaluateModel({
        model: base.folder,
        saveBaseLogits: saved,
        text: values.text,
        ...(maxWindows ? { maxWindows } : {}),
        ...common,
      });
      const { perplexity, scoredTokens, protocol } = measured.perplexity;
      models.push({ ...base, perplexity, scoredTokens, protocol });
    }
  } finally {
    await backend.close();
  }
  return models;
}

/** Measures a row of the table on a model, and stores the table as it now stands. */
async function complete(row, model, groups, models) {
  row.results.push({
    model: model.name,
    ...(await measure(model, row.recipe)),
  });
  row.results.sort((a, b) => order(models, a) - order(models, b));
  const { quantizeSeconds, meanKl } = row.results.find((result) => result.model === model.name);
  console.error(`${row.name} · ${model.name}: KL ${meanKl.toPrecision(4)}, quantized in ${quantizeSeconds} s`);
  save(groups, models);
}

function order(models, { model }) {
  return models.findIndex(({ name }) => name === model);
}

async function measure({ name, folder }, recipe) {
  const child = spawn(process.execPath, [fileURLToPath(new URL('measure.mjs', import.meta.url))], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(
    JSON.stringify({
      model: folder,
      recipe: { format: 'compressed-tensors', ...recipe, calibration },
      out: path.join(scratch, `run-${runs++}`),
      text: values.text,
      maxWindows,
      baseLogits: logits(name),
      threads: values.threads && Number(values.threads),
    }),
  );
  const ended = new Promise((resolve) => child.once('close', resolve));
  const output = await readAll(child.stdout);
  const code = await ended;
  if (code !== 0) throw new Error(`The run of ${JSON.stringify(recipe)} on ${name} ended with code ${code}.`);
  return JSON.parse(output);
}

function logits(name) {
  return path.join(scratch, `${name}.logits`);
}

function isWanted(title, { name }) {
  return values.only === undefined || `${title} ${name}`.includes(values.only);
}

/** Groups that were measured before on the same text. */
function groupsOf(file) {
  if (!existsSync(file)) return [];
  const { text, windows, groups } = JSON.parse(readFileSync(file, 'utf8'));
  return isDeepStrictEqual({ text, ...(windows ? { windows } : {}) }, settings) ? groups : [];
}

function save(groups, models) {
  const bases = models.map(({ name, perplexity, scoredTokens, protocol }) => ({
    model: name,
    perplexity,
    scoredTokens,
    protocol,
  }));
  const measured = groups
    .map(({ title, rows }) => ({
      title,
      rows: rows.filter(({ results }) => results.length === models.length),
    }))
    .filter(({ rows }) => rows.length > 0);
  writeFileSync(values.out, `${JSON.stringify({ ...settings, bases, groups: measured }, null, 2)}\n`);
}

function show(groups, bases) {
  for (const { title, rows } of groups) {
    const measured = rows.filter(({ results }) => results.length === bases.length);
    if (measured.length === 0) continue;
    console.log(`\n${title}`);
    const head = ['', ...bases.flatMap(({ name, perplexity }) => [`KL, ${name}`, `perplexity (${perplexity.toFixed(3)})`])];
    const cells = measured.map(({ name, results }) => [
      name,
      ...results.flatMap(({ meanKl, perplexity }) => [meanKl.toFixed(5), perplexity.toFixed(3)]),
    ]);
    console.log(renderTable(head, cells));
  }
}
