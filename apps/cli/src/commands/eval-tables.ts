import type { Evaluation } from '@calibrant/pipeline';
import { formatCount, formatDuration } from '../output/format.js';
import { renderTable } from '../output/table.js';
import { describeDrift, describeNeedle, describeTasks } from './eval-task-tables.js';

interface Measured {
  readonly value: number;
  readonly standardError: number;
}

type Rows = [string, string][];
/** What there is to show of a quantity that both models have. */
type Comparison = NonNullable<Evaluation['comparison']>;

/** An evaluation as tables for a person. */
export function describeEvaluation(evaluation: Evaluation): string {
  const { perplexity, comparison, calibration, tasks, needle, drift, metrics, seconds } = evaluation;
  const parts: string[] = [];
  const rows: Rows = executionRows(evaluation);
  if (perplexity) {
    rows.push(['perplexity', plusMinus({ value: perplexity.perplexity, standardError: perplexity.standardError }, 4)]);
    if (perplexity.bitsPerByte !== undefined) rows.push(['bits per byte', perplexity.bitsPerByte.toFixed(4)]);
    rows.push(['tokens scored', formatCount(perplexity.scoredTokens)]);
  }
  if (comparison) rows.push(...comparisonRows(comparison));
  if (rows.length > 0) parts.push(renderTable(['measure', 'value'], rows));
  if (comparison) parts.push(`KL divergence (nats) and change of the true token's probability\n${distributionTable(comparison)}`);
  if (calibration) parts.push(`Calibration of next-token predictions\n${calibrationTable(calibration)}`);
  if (tasks) parts.push(describeTasks(tasks));
  if (needle) parts.push(describeNeedle(needle));
  if (drift) parts.push(describeDrift(drift));
  for (const [name, figures] of Object.entries(metrics ?? {}))
    parts.push(
      renderTable(
        [name, ''],
        Object.entries(figures).map(([key, value]) => [key, value.toPrecision(6)]),
      ),
    );
  const protocol = perplexity ? `${perplexity.protocol}, ${formatCount(perplexity.windows)} windows in ` : '';
  return `${parts.join('\n\n')}\n\n${protocol}${formatDuration(seconds * 1000)}`;
}

/** What was rounded while the model ran: without it, figures of W8A8 would look like those of W8A16. */
function executionRows({ execution = {} }: Evaluation): Rows {
  const { activations, kvCache } = execution;
  return [...(activations ? [['inputs of layers', activations]] : []), ...(kvCache ? [['key/value cache', kvCache]] : [])] as Rows;
}

function comparisonRows(comparison: Comparison): Rows {
  const { basePerplexity, perplexityRatio, perplexityDifference, lnPerplexityRatio, topOverlap, probabilityChange } = comparison;
  return [
    ['perplexity of the base', plusMinus({ value: basePerplexity, standardError: comparison.baseFigures.standardError }, 4)],
    ['perplexity ratio', plusMinus(perplexityRatio, 4)],
    ['perplexity difference', plusMinus(perplexityDifference, 4)],
    ['ln of the ratio', plusMinus(lnPerplexityRatio, 5)],
    ['correlation of ln perplexity', `${(100 * comparison.lnPerplexityCorrelation).toFixed(2)} %`],
    ['mean KL divergence (nats)', plusMinus({ value: comparison.meanKl, standardError: comparison.meanKlStandardError }, 6)],
    ['same top token', percent({ value: comparison.sameTop, standardError: comparison.sameTopStandardError }, 2)],
    [`overlap of the top ${topOverlap.count}`, percent(topOverlap, 2)],
    ['mean change of p', percent(probabilityChange.mean, 3)],
    ['RMS change of p', percent(probabilityChange.rms, 3)],
  ];
}

/** The lines that llama-perplexity prints. */
function distributionTable({ klPercentiles, probabilityChange }: Comparison): string {
  const rows = klPercentiles.map(({ at, value }, i) => [
    pointName(at),
    Number.isFinite(value) ? value.toFixed(6) : '∞',
    `${(100 * probabilityChange.percentiles[i].value).toFixed(3)} %`,
  ]);
  return renderTable(['', 'KL divergence', 'Δp'], rows);
}

function pointName(at: number): string {
  if (at === 1) return 'maximum';
  if (at === 0) return 'minimum';
  return at === 0.5 ? 'median' : `${Number((100 * at).toFixed(1))} %`;
}

function calibrationTable({ model, base }: NonNullable<Evaluation['calibration']>): string {
  const columns = base ? [base, model] : [model];
  const line = (name: string, of: (figures: typeof model) => string) => [name, ...columns.map(of)];
  return renderTable(base ? ['', 'base', 'model'] : ['', 'model'], [
    line('expected calibration error', ({ ece }) => percent(ece, 2)),
    line('adaptive (equal mass)', ({ adaptiveEce }) => percent(adaptiveEce, 2)),
    line('largest error of a bin', ({ maxCalibrationError }) => `${(100 * maxCalibrationError).toFixed(2)} %`),
    line('Brier score', ({ brier }) => (brier ? plusMinus(brier, 4) : '')),
    line('accuracy', ({ accuracy }) => `${(100 * accuracy).toFixed(2)} %`),
    line('mean confidence', ({ meanConfidence }) => `${(100 * meanConfidence).toFixed(2)} %`),
  ]);
}

export function plusMinus({ value, standardError }: Measured, digits: number): string {
  return `${value.toFixed(digits)} ± ${standardError.toFixed(digits)}`;
}

export function percent({ value, standardError }: Measured, digits: number): string {
  return `${(100 * value).toFixed(digits)} ± ${(100 * standardError).toFixed(digits)} %`;
}
