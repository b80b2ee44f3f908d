import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { relativePlots, sensitivities, sensitivityPlots, studyCells, studyFindings } from '@calibrant/report';
import { site } from './workspace.mjs';

/** @typedef {import('@calibrant/report').CalibrationStudy} CalibrationStudy */

/**
 * Writes the parts of the page on calibration sets: tables, plots, findings and conditions of the study that `calibrant study calibration` saved.
 *
 * @param {string} file
 */
export function generateStudyPages(file) {
  /** @type {CalibrationStudy} */
  const study = JSON.parse(readFileSync(file, 'utf8'));
  write('study-sensitivity.md', sensitivityTable(study));
  write('study-table.md', lossTable(study));
  write('study-plots.md', [...sensitivityPlots(study), ...relativePlots(study)].map(figure).join('\n\n'));
  write(
    'study-findings.md',
    studyFindings(study)
      .slice(0, comparisons(study))
      .map((finding) => `- ${finding}`)
      .join('\n'),
  );
  write('study-conditions.md', conditions(study));
}

/**
 * Writes the parts on the size of calibration sets.
 *
 * @param {string} file
 */
export function generateSizePages(file) {
  /** @type {CalibrationStudy} */
  const study = JSON.parse(readFileSync(file, 'utf8'));
  const sizes = study.samples.map(String);
  const cells = studyCells(study);
  const rows = study.methods.flatMap((method) =>
    study.models.map((model) => {
      const of = study.samples.map((samples) =>
        cells.find((each) => each.method === method && each.model === model && each.samples === samples),
      );
      return [method, model, ...of.map((cell) => (cell ? `${cell.kl.mean.toFixed(4)} ± ${cell.kl.halfWidth.toFixed(4)}` : ''))];
    }),
  );
  write('study-size.md', table(['method', 'model', ...sizes], rows, 2));
}

/**
 * Sentences that compare models come first, one for each method.
 *
 * @param {CalibrationStudy} study
 */
function comparisons(study) {
  return new Set(sensitivities(study).map(({ method, text }) => `${method} ${text}`)).size;
}

/** @param {CalibrationStudy} study */
function sensitivityTable(study) {
  const byMethod = study.methods.flatMap((method) => sensitivities(study).filter((each) => each.method === method));
  const rows = byMethod.map(({ method, model, best, worst, perSeed, overSeeds }) => [
    method,
    model,
    `${best.set} ${best.kl.toFixed(3)}`,
    `${worst.set} ${worst.kl.toFixed(3)}`,
    (worst.kl - best.kl).toFixed(3),
    perSeed.seeds > 1
      ? `${(100 * perSeed.mean).toFixed(1)} ± ${(100 * perSeed.halfWidth).toFixed(1)} %`
      : `${(100 * perSeed.mean).toFixed(1)} %`,
    perSeed.seeds > 1 ? `${(100 * overSeeds).toFixed(1)} %` : 'one seed',
  ]);
  const head = ['method', 'model', 'best set', 'worst set', 'between them', 'over sets', 'over seeds'];
  return table(head, rows, 2);
}

/** @param {CalibrationStudy} study */
function lossTable(study) {
  const cells = studyCells(study);
  const free = study.runs.filter(({ set }) => set === undefined);
  const models = study.models;
  const sets = study.sets.map(({ name }) => name).filter((name) => cells.some(({ set }) => set === name));
  const head = ['method', 'calibration set', ...models];
  const rows = [
    ...[...new Set(free.map(({ method }) => method))].map((method) => [
      method,
      '–',
      ...models.map((model) => free.find((run) => run.model === model && run.method === method)?.meanKl.value.toFixed(4) ?? ''),
    ]),
    ...study.methods.flatMap((method) =>
      sets
        .filter((set) => cells.some((cell) => cell.method === method && cell.set === set))
        .map((set) => [
          method,
          set,
          ...models.map((model) => {
            const cell = cells.find((each) => each.model === model && each.method === method && each.set === set);
            return cell ? `${cell.kl.mean.toFixed(4)}${cell.kl.seeds > 1 ? ` ± ${cell.kl.halfWidth.toFixed(4)}` : ''}` : '';
          }),
        ]),
    ),
  ];
  return table(head, rows, 2);
}

/** @param {CalibrationStudy} study */
function conditions(study) {
  const { runs, samples, length, seeds, windows, texts, outlierTwin, recipes = {} } = study;
  const total = (/** @type {'seconds' | 'cpuSeconds'} */ field) => runs.reduce((sum, run) => sum + (run[field] ?? 0), 0);
  return [
    `- Measured on ${windows === undefined ? 'all' : `the first ${windows}`} windows of 512 tokens of ${texts.join(', ')}, against each model in full precision.`,
    `- Calibration sets of ${samples.join(', ')} sequences of ${length} tokens; ${seeds.length} seeds choose them. ± is half of the 95 % interval over seeds (Student’s t).`,
    ...(outlierTwin
      ? [
          `- The twin: ${outlierTwin.channels} channels are ${outlierTwin.factor} times as large at the inputs of attention and MLP; its function is the same.`,
        ]
      : []),
    ...Object.entries(recipes).map(([name, recipe]) => `- ${name}: \`${JSON.stringify(recipe)}\``),
    `- ${runs.length} models made and measured in ${Math.round(total('cpuSeconds') / 60)} minutes of CPU time, all threads together.`,
  ].join('\n');
}

/**
 * @param {{ svg: string, title: string }} drawing
 */
function figure({ svg, title }) {
  return `<figure class="study">${svg.replaceAll(/\s*\n\s*/g, ' ')}<figcaption>${title}.</figcaption></figure>`;
}

/**
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows
 * @param {number} words columns that are no figures
 */
function table(head, rows, words) {
  const lines = [head, head.map((_, i) => (i < words ? '---' : '---:')), ...rows].map((row) => `| ${row.join(' | ')} |`);
  return `<div class="results-table" tabindex="0" role="region" aria-label="Results">\n\n${lines.join('\n')}\n\n</div>`;
}

/**
 * @param {string} file
 * @param {string} text
 */
function write(file, text) {
  writeFileSync(path.join(site, 'generated', file), `${text}\n`);
}
