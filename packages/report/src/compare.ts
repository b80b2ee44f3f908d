import type { Estimate, ReportData, RunFigures } from './data.js';
import { escapeHtml } from './html/escape.js';
import { page } from './html/render-html.js';
import { htmlTable } from './html/table.js';
import { percent } from './plots/draw.js';
import { sizeQualityPlot } from './plots/size-quality.js';
import { megabytes } from './summary.js';

/** A report as one run of a comparison. */
export function runOf({ model, size, quality }: ReportData, name = model.name): RunFigures {
  return {
    name,
    bytes: size.bytes,
    bitsPerWeight: size.bitsPerWeight,
    ...(quality ? { perplexity: quality.perplexity } : {}),
    ...(quality?.divergence ? { meanKl: quality.divergence.mean, sameTop: quality.divergence.sameTop } : {}),
  };
}

/** What keeps runs from being compared: other base models, texts or protocols. Sentences for a person. */
export function comparisonWarnings(reports: readonly ReportData[]): string[] {
  const measured = reports.filter(({ quality }) => quality);
  const differ = (of: (quality: NonNullable<ReportData['quality']>) => string | undefined) =>
    new Set(measured.map(({ quality }) => of(quality as NonNullable<typeof quality>))).size > 1;
  return [
    ...(measured.length < reports.length
      ? [`${reports.length - measured.length} of ${reports.length} runs have no measured quality.`]
      : []),
    ...(new Set(reports.flatMap(({ model }) => model.base ?? [])).size > 1
      ? ['The runs have different base models: each divergence is from its own.']
      : []),
    ...(differ(({ text }) => text.sha256 ?? text.name)
      ? ['The runs were measured on different texts: their figures cannot be compared.']
      : []),
    ...(differ(({ protocol }) => protocol) ? ['The runs were measured by different protocols: their figures cannot be compared.'] : []),
  ];
}

export const COMPARISON_HEAD = ['run', 'size', 'bits per weight', 'perplexity', 'mean KL divergence', 'same top token'] as const;

/** One row of text per run, smallest first. */
export function comparisonRows(runs: readonly RunFigures[]): string[][] {
  return [...runs]
    .sort((a, b) => a.bytes - b.bytes)
    .map(({ name, bytes, bitsPerWeight, perplexity, meanKl, sameTop }) => [
      name,
      megabytes(bytes),
      bitsPerWeight.toFixed(2),
      estimate(perplexity, 3),
      estimate(meanKl, 5),
      sameTop ? percent(sameTop.value) : '–',
    ]);
}

/** Runs side by side as one HTML file: a table, and the plot of size against quality with its Pareto front. */
export function renderComparison(runs: readonly RunFigures[], warnings: readonly string[] = []): string {
  const plot = sizeQualityPlot(runs);
  const notes = warnings.map((warning) => `<p class="muted">${escapeHtml(warning)}</p>`).join('');
  const drawing = plot ? `<figure>${plot.svg}<figcaption>${plot.title}. Lower and further left is better.</figcaption></figure>` : '';
  return page(
    'Quantized models compared',
    `<h1>Runs compared</h1>${notes}${drawing}${htmlTable('± one standard error', COMPARISON_HEAD, comparisonRows(runs))}`,
    { schema: 'calibrant-comparison/v1', runs },
  );
}

function estimate(of: Estimate | undefined, digits: number): string {
  return of ? `${of.value.toFixed(digits)} ± ${of.standardError.toFixed(digits)}` : '–';
}
