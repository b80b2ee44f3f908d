import { CalibrantError, type Tensor, tensor, type ValueHistogram, type ValueStatistics } from '@calibrant/core';
import { HISTOGRAM_BINS, LEAST_EXPONENT } from './kernel.js';

/** What is kept of the inputs of a linear layer on a calibration set. */
export interface InputStatistics extends ValueStatistics {
  readonly tokens: number;
  /** Per input channel: the greatest magnitude, the sum of magnitudes, the sum of squares. */
  readonly peaks: Float32Array;
  readonly sums: Float64Array;
  readonly squares: Float64Array;
}

/** Statistics of no token. */
export function emptyStatistics(channels: number): InputStatistics {
  return {
    tokens: 0,
    peaks: new Float32Array(channels),
    sums: new Float64Array(channels),
    squares: new Float64Array(channels),
    histogram: { exponent: LEAST_EXPONENT, counts: new Float64Array(HISTOGRAM_BINS) },
    sequenceLows: new Float32Array(0),
    sequenceHighs: new Float32Array(0),
  };
}

/** The histogram with wider bins; whole bins join, so that it is that of the values themselves. */
function widened({ exponent, counts }: ValueHistogram, to: number): Float64Array {
  if (to === exponent) return counts;
  const half = counts.length / 2;
  const wide = new Float64Array(counts.length);
  for (const [bin, count] of counts.entries()) if (count > 0) wide[Math.floor((bin - half) / 2 ** (to - exponent)) + half] += count;
  return wide;
}

/**
 * The statistics of two parts of a calibration set together: those of the sequences of `a` followed by those of `b`. Exact but for the rounding of the f64 sums.
 *
 * @throws CalibrantError `SHAPE_MISMATCH` for layers of different sizes
 */
export function mergeStatistics(a: InputStatistics, b: InputStatistics): InputStatistics {
  if (a.peaks.length !== b.peaks.length)
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `Statistics of ${a.peaks.length} and of ${b.peaks.length} input channels are not of one layer.`,
    );
  const exponent = Math.max(a.histogram.exponent, b.histogram.exponent);
  const [ofA, ofB] = [widened(a.histogram, exponent), widened(b.histogram, exponent)];
  return {
    tokens: a.tokens + b.tokens,
    peaks: a.peaks.map((peak, c) => Math.max(peak, b.peaks[c])),
    sums: a.sums.map((sum, c) => sum + b.sums[c]),
    squares: a.squares.map((sum, c) => sum + b.squares[c]),
    histogram: { exponent, counts: ofA.map((count, bin) => count + ofB[bin]) },
    sequenceLows: Float32Array.from([...a.sequenceLows, ...b.sequenceLows]),
    sequenceHighs: Float32Array.from([...a.sequenceHighs, ...b.sequenceHighs]),
  };
}

/** The tensors that files keep statistics as, by their names. */
export function statisticsTensors({
  tokens,
  peaks,
  sums,
  squares,
  histogram,
  sequenceLows,
  sequenceHighs,
}: InputStatistics): Record<string, Tensor> {
  const [n, sequences] = [peaks.length, sequenceLows.length];
  return {
    absmax: tensor('f32', [n], peaks),
    abs_sum: tensor('f64', [n], sums),
    square_sum: tensor('f64', [n], squares),
    tokens: tensor('f64', [1], Float64Array.of(tokens)),
    histogram: tensor('f64', [histogram.counts.length], histogram.counts),
    histogram_exponent: tensor('i32', [1], Int32Array.of(histogram.exponent)),
    sequence_min: tensor('f32', [sequences], sequenceLows),
    sequence_max: tensor('f32', [sequences], sequenceHighs),
  };
}

/** {@link statisticsTensors} backwards. @throws CalibrantError `CORRUPT_FILE` naming what is missing or not of its type or size */
export function statisticsFromTensors(tensors: Readonly<Record<string, Tensor | undefined>>, where: string): InputStatistics {
  const wrong = (name: string) =>
    new CalibrantError('CORRUPT_FILE', `${where} has no well-formed "${name}": the file is damaged or not of statistics.`, {
      tensor: name,
    });
  const read = <Data>(name: string, dtype: Tensor['dtype'], length?: number): Data => {
    const found = tensors[name];
    if (found?.dtype !== dtype || found.shape.length !== 1 || (length !== undefined && found.shape[0] !== length)) throw wrong(name);
    return found.data as Data;
  };
  const peaks = read<Float32Array>('absmax', 'f32');
  const sequenceLows = read<Float32Array>('sequence_min', 'f32');
  const statistics: InputStatistics = {
    tokens: read<Float64Array>('tokens', 'f64', 1)[0],
    peaks,
    sums: read('abs_sum', 'f64', peaks.length),
    squares: read('square_sum', 'f64', peaks.length),
    histogram: { exponent: read<Int32Array>('histogram_exponent', 'i32', 1)[0], counts: read('histogram', 'f64', HISTOGRAM_BINS) },
    sequenceLows,
    sequenceHighs: read('sequence_max', 'f32', sequenceLows.length),
  };
  const { counts, exponent } = statistics.histogram;
  const usable = (value: number) => value >= 0 && value < Infinity;
  if (!counts.every(usable) || !usable(statistics.tokens) || !(exponent >= LEAST_EXPONENT && exponent <= 127)) throw wrong('histogram');
  if (!statistics.squares.every(usable) || !statistics.sums.every(usable)) throw wrong('square_sum');
  return statistics;
}
