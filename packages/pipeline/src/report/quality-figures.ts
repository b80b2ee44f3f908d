import type { CalibrationFigures, Evaluation } from '@calibrant/eval';
import type { QualityFigures, ReliabilityFigures } from '@calibrant/report';

/** The part of an evaluation on a text that a report shows; undefined without a text. */
export function qualityFigures({ perplexity, comparison, calibration, provenance: { text } }: Evaluation): QualityFigures | undefined {
  if (!perplexity || !text) return undefined;
  return {
    text: { name: text.file, sha256: text.sha256, tokens: perplexity.tokens },
    protocol: perplexity.protocol,
    perplexity: { value: perplexity.perplexity, standardError: perplexity.standardError },
    ...(comparison
      ? {
          basePerplexity: { value: comparison.basePerplexity, standardError: comparison.baseFigures.standardError },
          divergence: {
            mean: { value: comparison.meanKl, standardError: comparison.meanKlStandardError },
            median: comparison.medianKl,
            ...percentile(comparison.klPercentiles, 0.9, 'p90'),
            ...percentile(comparison.klPercentiles, 0.95, 'p95'),
            p99: comparison.kl99,
            ...percentile(comparison.klPercentiles, 0.999, 'p999'),
            max: comparison.maxKl,
            sameTop: { value: comparison.sameTop, standardError: comparison.sameTopStandardError },
            histogram: comparison.klHistogram,
          },
        }
      : {}),
    ...(calibration
      ? {
          calibration: {
            quantized: reliability(calibration.model),
            ...(calibration.base ? { base: reliability(calibration.base) } : {}),
          },
        }
      : {}),
  };
}

function percentile(
  points: readonly { readonly at: number; readonly value: number }[],
  wanted: number,
  key: 'p90' | 'p95' | 'p999',
): Partial<Record<typeof key, number>> {
  const found = points.find(({ at }) => at === wanted);
  return found ? { [key]: found.value } : {};
}

function reliability({ ece, adaptiveEce, brier, bins }: CalibrationFigures): ReliabilityFigures {
  return {
    ece: ece.value,
    adaptiveEce: adaptiveEce.value,
    ...(brier ? { brier: brier.value } : {}),
    bins: bins.map(({ meanConfidence, accuracy, count }) => ({ confidence: meanConfidence, accuracy, count })),
  };
}
