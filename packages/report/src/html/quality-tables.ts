import type { DivergenceFigures, Estimate, ReportData } from '../data.js';
import { percent } from '../plots/draw.js';
import { megabytes } from '../summary.js';
import { htmlTable } from './table.js';

/** Size and predictions, full precision beside quantized. */
export function qualityTable({ size, quality }: ReportData): string {
  const rows: string[][] = [
    ['size', size.baseBytes === undefined ? '–' : megabytes(size.baseBytes), megabytes(size.bytes)],
    ['bits per weight', size.baseBitsPerWeight === undefined ? '–' : size.baseBitsPerWeight.toFixed(2), size.bitsPerWeight.toFixed(2)],
  ];
  if (quality) {
    const { perplexity, basePerplexity, divergence, calibration } = quality;
    rows.push(['perplexity', basePerplexity ? estimate(basePerplexity, 4) : '–', estimate(perplexity, 4)]);
    if (divergence)
      rows.push(['mean KL divergence, nats', '0', estimate(divergence.mean, 5)], ...percentileRows(divergence), [
        'same most likely token',
        '100 %',
        `${percent(divergence.sameTop.value)} ± ${percent(divergence.sameTop.standardError)}`,
      ]);
    if (calibration) {
      const of = (value: number | undefined) => (value === undefined ? '–' : value.toFixed(4));
      rows.push(
        ['expected calibration error', of(calibration.base?.ece), of(calibration.quantized.ece)],
        ['the same in bins of equal mass', of(calibration.base?.adaptiveEce), of(calibration.quantized.adaptiveEce)],
        ['Brier score', of(calibration.base?.brier), of(calibration.quantized.brier)],
      );
    }
  }
  return htmlTable(
    quality
      ? `On ${quality.text.name}, ${quality.protocol}, ${quality.text.tokens.toLocaleString('en')} tokens; ± one standard error`
      : 'Sizes',
    ['', 'full precision', 'quantized'],
    rows,
  );
}

function percentileRows({ median, p90, p95, p99, p999, max }: DivergenceFigures): string[][] {
  const row = (points: readonly (readonly [string, number | undefined])[]) => {
    const known = points.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value: value.toPrecision(3) }]));
    return [`KL divergence: ${known.map(({ name }) => name).join(' / ')}`, '0', known.map(({ value }) => value).join(' / ')];
  };
  return [
    row([
      ['median', median],
      ['90 %', p90],
      ['95 %', p95],
    ]),
    row([
      ['99 %', p99],
      ['99.9 %', p999],
      ['largest', max],
    ]),
  ];
}

function estimate({ value, standardError }: Estimate, digits: number): string {
  return `${value.toFixed(digits)} ± ${standardError.toFixed(digits)}`;
}
