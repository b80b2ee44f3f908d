// The quality table of the documentation: every method on a model and on its twin with outlier channels, measured against full precision.
// npm run quality -- --model FOLDER --calibration FILE --text FILE [--samples 128] [--length 512] [--windows N] [--threads N] [--only TEXT] [--out FILE]
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { GROUPS } from './recipes.mjs';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    calibration: { type: 'string' },
    text: { type: 'string' },
    samples: { type: 'string', default: '128' },
    length: { type: 'string', default: '512' },
    windows: { type: 'string' },
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
const { evaluateModel, injectOutliers, quantizeModel } = await import('@calibrant/pipeline');
const { createCpuBackend } = await import('@calibrant/backend-cpu');

const started = Date.now();
const scratch = mkdtempSync(path.join(tmpdir(), 'calibrant-quality-'));
const registry = await loadRegistry();
const backend = await createCpuBackend(values.threads ? { threads: Number(values.threads) } : {});
const common = { registry, backend };
const measured = { text: values.text, ...(values.windows ? { maxWindows: Number(values.windows) } : {}), ...common };
const calibration = { source: 'file', path: values.calibration, samples: Number(values.samples), length: Number(values.length), seed: 0 };

try {
  const twin = path.join(scratch, 'twin');
  await injectOutliers({ model: values.model, out: twin, channels: 4, factor: 50, seed: 0, ...common });
  const models = [
    { name: path.basename(values.model), folder: values.model },
    { name: `${path.basename(values.model)} with outliers`, folder: twin },
  ];
  const bases = [];
  for (const { name, folder } of models) {
    const { perplexity } = await evaluateModel({ model: folder, saveBaseLogits: logits(name), ...measured });
    bases.push({ model: name, perplexity: perplexity.perplexity, scoredTokens: perplexity.scoredTokens, protocol: perplexity.protocol });
  }
  const groups = [];
  for (const { title, runs } of GROUPS) {
    const rows = [];
    for (const { name, recipe } of runs) {
      if (values.only && !`${title} ${name}`.includes(values.only)) continue;
      const results = [];
      for (const model of models) results.push({ model: model.name, ...(await measure(model, recipe)) });
      rows.push({ name, recipe, results });
      console.error(`${name}: ${results.map(({ meanKl }) => meanKl.toPrecision(4)).join(', ')}`);
    }
    if (rows.length > 0) groups.push({ title, rows });
    save(bases, groups);
  }
  show(bases, groups);
} finally {
  await backend.close();
  rmSync(scratch, { recursive: true, force: true });
}

async function measure({ name, folder }, recipe) {
  const out = path.join(scratch, 'quantized');
  try {
    const quantized = await quantizeModel({
      model: folder,
      out,
      recipe: { format: 'compressed-tensors', ...recipe, calibration },
      ...common,
    });
    const { perplexity, comparison } = await evaluateModel({ model: out, baseLogits: logits(name), ...measured });
    return {
      bitsPerWeight: quantized.bitsPerWeight,
      perplexity: perplexity.perplexity,
      meanKl: comparison.meanKl,
      klStandardError: comparison.meanKlStandardError,
      sameTop: comparison.sameTop,
    };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

function logits(name) {
  return path.join(scratch, `${name}.logits`);
}

function save(bases, groups) {
  const machine = backend.description;
  const text = path.basename(values.text);
  const json = {
    text,
    calibration: { text: path.basename(values.calibration), samples: calibration.samples, length: calibration.length },
    backend: machine,
    seconds: Math.round((Date.now() - started) / 1000),
    bases,
    groups,
  };
  writeFileSync(values.out, `${JSON.stringify(json, null, 2)}\n`);
}

function show(bases, groups) {
  for (const { title, rows } of groups) {
    console.log(`\n${title}`);
    const head = [
      '',
      ...bases.flatMap(({ model }) => [`KL, ${model}`, `perplexity (${bases.find((base) => base.model === model).perplexity.toFixed(3)})`]),
    ];
    const cells = rows.map(({ name, results }) => [
      name,
      ...results.flatMap(({ meanKl, perplexity }) => [meanKl.toFixed(5), perplexity.toFixed(3)]),
    ]);
    console.log(renderTable(head, cells));
  }
}
