import { CalibrantError } from '@calibrant/core';
import { type Estimate, estimate } from '../statistics.js';

/** Predictions whose confidences lie together. */
export interface ReliabilityBin {
  /** Confidences `lower < confidence ≤ upper` of equal-width bins, the first also 0; the least and largest in bins of equal mass. */
  readonly lower: number;
  readonly upper: number;
  readonly count: number;
  /** 0 in an empty bin. */
  readonly meanConfidence: number;
  /** The fraction that was right; 0 in an empty bin. */
  readonly accuracy: number;
}

/** Whether a model is right as often as it says. */
export interface CalibrationFigures {
  /** Predictions that were looked at. */
  readonly count: number;
  /** The fraction whose most likely answer was right. */
  readonly accuracy: number;
  readonly meanConfidence: number;
  /** Expected calibration error over bins of equal width: Σ (bin's share) · |accuracy − mean confidence|. */
  readonly ece: Estimate;
  /** The same over bins of equal mass; equal confidences stay in one bin. */
  readonly adaptiveEce: Estimate;
  /** The largest |accuracy − mean confidence| of a bin of equal width that is not empty. */
  readonly maxCalibrationError: number;
  /** Mean of Σ (p − y)² over all classes, 0 to 2. */
  readonly brier?: Estimate;
  readonly bins: readonly ReliabilityBin[];
  readonly adaptiveBins: readonly ReliabilityBin[];
}

export interface CalibrationOptions {
  /** Bins of each kind; 15 if absent. */
  readonly bins?: number;
  /** The Brier score of each prediction. */
  readonly brier?: ArrayLike<number>;
}

/**
 * Expected calibration error (Naeini et al. 2015; Guo et al. 2017, eq. 3) of confidences 0 to 1 and whether each was right, with adaptive bins (Nixon et al.
 * 2019, section 3.3) and the data of a reliability diagram. Sums are in f64.
 *
 * Standard errors take predictions as independent and the sign of each bin's gap as known, so that the error is a mean of signed differences. Where a bin's true gap is
 * near 0 its sign is noise: then ECE itself is biased upwards by about as much, whatever the model.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for no predictions, lists of different lengths, or a confidence outside 0 to 1.
 * @example
 * calibrationError([0.9, 0.8], [1, 0]).ece.value; // 0.45: the mean of |1 − 0.9| and |0 − 0.8|, for they fall in different bins
 */
export function calibrationError(
  confidences: ArrayLike<number>,
  correct: ArrayLike<number>,
  { bins: count = 15, brier }: CalibrationOptions = {},
): CalibrationFigures {
  const n = confidences.length;
  if (n === 0 || correct.length !== n || (brier && brier.length !== n))
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `Calibration needs as many answers as confidences, at least one, found ${n} confidences and ${correct.length} answers.`,
    );
  for (let i = 0; i < n; i++)
    // Rounding in f32 may leave a certain prediction a little above 1.
    if (!(confidences[i] >= 0 && confidences[i] <= 1 + 1e-6))
      throw new CalibrantError('INVALID_ARGUMENT', `Confidences must be from 0 to 1, found ${confidences[i]} at ${i}.`);
  const width = Array.from({ length: n }, (_, i) => Math.min(count - 1, Math.max(0, Math.ceil(confidences[i] * count - 1e-12) - 1)));
  const equalWidth = fill(confidences, correct, width, count);
  const order = Uint32Array.from({ length: n }, (_, i) => i).sort((a, b) => confidences[a] - confidences[b] || a - b);
  const adaptive = Math.min(count, n);
  const mass = new Array<number>(n);
  // Equal confidences go together, so that the order of the predictions does not matter.
  for (let rank = 0, first = 0; rank < n; rank++) {
    if (confidences[order[rank]] !== confidences[order[first]]) first = rank;
    mass[order[rank]] = Math.floor((first * adaptive) / n);
  }
  const equalMass = fill(confidences, correct, mass, adaptive);
  const bins = equalWidth.map((bin, i) => ({ ...bin, lower: i / count, upper: (i + 1) / count }));
  return {
    count: n,
    accuracy: estimate(correct).value,
    meanConfidence: estimate(confidences).value,
    ece: expected(confidences, correct, width, equalWidth),
    adaptiveEce: expected(confidences, correct, mass, equalMass),
    maxCalibrationError: Math.max(...bins.filter((bin) => bin.count > 0).map((bin) => Math.abs(bin.accuracy - bin.meanConfidence))),
    ...(brier ? { brier: estimate(brier) } : {}),
    bins,
    adaptiveBins: equalMass.filter((bin) => bin.count > 0),
  };
}

function fill(confidences: ArrayLike<number>, correct: ArrayLike<number>, binOf: readonly number[], count: number): ReliabilityBin[] {
  const bins = Array.from({ length: count }, () => ({ count: 0, confidence: 0, right: 0, lower: Infinity, upper: -Infinity }));
  for (const [i, at] of binOf.entries()) {
    const bin = bins[at];
    bin.count++;
    bin.confidence += confidences[i];
    bin.right += correct[i];
    bin.lower = Math.min(bin.lower, confidences[i]);
    bin.upper = Math.max(bin.upper, confidences[i]);
  }
  return bins.map(({ count: inside, confidence, right, lower, upper }) => ({
    lower,
    upper,
    count: inside,
    meanConfidence: inside ? confidence / inside : 0,
    accuracy: inside ? right / inside : 0,
  }));
}

function expected(
  confidences: ArrayLike<number>,
  correct: ArrayLike<number>,
  binOf: readonly number[],
  bins: readonly ReliabilityBin[],
): Estimate {
  const signs = bins.map((bin) => Math.sign(bin.accuracy - bin.meanConfidence));
  return estimate(Array.from(binOf, (bin, i) => signs[bin] * (correct[i] - confidences[i])));
}
