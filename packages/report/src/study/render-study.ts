import { escapeHtml } from '../html/escape.js';
import { page } from '../html/render-html.js';
import { htmlTable } from '../html/table.js';
import type { Drawing } from '../plots/draw.js';
import type { CalibrationStudy } from './data.js';
import { type SeedMean, sensitivities, studyCells, studyFindings } from './figures.js';
import { relativePlots, sensitivityPlots } from './model-plots.js';
import { samplePlots, setPlots } from './plots.js';

export const STUDY_HEAD = ['model', 'method', 'calibration set', 'samples', 'text', 'mean KL divergence', 'perplexity'] as const;

/** One row of text for each method, set and size; methods without calibration come first. */
export function studyRows(study: CalibrationStudy): string[][] {
  const free = study.runs
    .filter(({ set }) => set === undefined)
    .map(({ model, method, text, meanKl, perplexity, basePerplexity }) => [
      model,
      method,
      '–',
      '–',
      text,
      meanKl.value.toFixed(5),
      increase({ mean: perplexity / basePerplexity - 1, halfWidth: 0, seeds: 1 }),
    ]);
  const calibrated = studyCells(study).map(({ model, method, set, samples, text, kl, perplexityIncrease }) => [
    model,
    method,
    set,
    String(samples),
    text,
    withHalfWidth(kl, 5),
    increase(perplexityIncrease),
  ]);
  return [...free, ...calibrated];
}

/** The study as one HTML file: findings, plots with intervals over seeds, and the whole table. */
export function renderStudy(study: CalibrationStudy): string {
  const findings = studyFindings(study).map((finding) => `<li>${escapeHtml(finding)}</li>`);
  const figure = ({ svg, title }: Drawing) => `<figure>${svg}<figcaption>${escapeHtml(title)}.</figcaption></figure>`;
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const spread = sensitivities(study).map(({ model, method, text, best, worst, overSets, overSeeds, perSeed }) => [
    model,
    method,
    text,
    `${best.set} (${best.kl.toPrecision(3)})`,
    `${worst.set} (${worst.kl.toPrecision(3)})`,
    percent(overSets),
    percent(overSeeds),
    `${(100 * perSeed.mean).toFixed(1)} ± ${percent(perSeed.halfWidth)}`,
  ]);
  const how = `${study.scheme}, sequences of ${study.length} tokens, ${study.seeds.length} seed${study.seeds.length === 1 ? '' : 's'}; ± is half of the 95 % interval over seeds (Student’s t).`;
  return page(
    'Calibration sets compared',
    `<h1>Does the calibration set matter?</h1><p class="lead">${escapeHtml(how)}</p><section><h2>Findings</h2><ul>${findings.join('')}</ul></section>` +
      section('Models side by side', [...sensitivityPlots(study), ...relativePlots(study)].map(figure).join('')) +
      `<section><h2>By calibration set</h2><p class="muted">Dashed: methods without calibration.</p>${setPlots(study).map(figure).join('')}</section>` +
      section('By size', samplePlots(study).map(figure).join('')) +
      section(
        'Sensitivity',
        spread.length === 0
          ? ''
          : htmlTable(
              'Standard deviation of the mean KL divergence over sets, and over seeds of one set, as a share of its mean; by seed: mean and interval over seeds',
              ['model', 'method', 'text', 'best set', 'worst set', 'over sets', 'over seeds', 'over sets, by seed'],
              spread,
            ),
      ) +
      `<section><h2>All runs</h2>${htmlTable('Means over seeds', STUDY_HEAD, studyRows(study))}</section>`,
    study,
  );
}

function section(heading: string, html: string): string {
  return html === '' ? '' : `<section><h2>${heading}</h2>${html}</section>`;
}

function withHalfWidth({ mean, halfWidth }: SeedMean, digits: number): string {
  return halfWidth > 0 ? `${mean.toFixed(digits)} ± ${halfWidth.toFixed(digits)}` : mean.toFixed(digits);
}

function increase({ mean, halfWidth }: SeedMean): string {
  const value = `${mean < 0 ? '−' : '+'}${(100 * Math.abs(mean)).toFixed(2)}`;
  return halfWidth > 0 ? `${value} ± ${(100 * halfWidth).toFixed(2)} %` : `${value} %`;
}
