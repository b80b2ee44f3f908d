import type { Backend, BufferHandle } from './backend.js';
import type { FitAttributes } from './ops/affine.js';

/** What a grid spans, in the units of the values; `low ≤ 0 ≤ high`. Values beyond it are clipped. */
export interface ValueRange {
  readonly low: number;
  readonly high: number;
}

/** The ranges of the groups of each row, f32 `[rows, groups]`. */
export interface RangeBuffers {
  readonly lows: BufferHandle;
  readonly highs: BufferHandle;
}

/**
 * How many values lay where. Bins are `2^exponent` wide and aligned to 0, so that growing the range (the exponent) joins whole bins and loses no count:
 * bin i holds the values of `[(i − counts.length / 2) · 2^exponent, (i + 1 − counts.length / 2) · 2^exponent)`.
 */
export interface ValueHistogram {
  readonly exponent: number;
  /** Exact whole numbers up to 2^53. */
  readonly counts: Float64Array;
}

/** What is known of values that streamed by: the inputs of a linear layer on a calibration set. */
export interface ValueStatistics {
  readonly histogram: ValueHistogram;
  /** Least and largest value of each sequence, in their order. */
  readonly sequenceLows: Float32Array;
  readonly sequenceHighs: Float32Array;
}

/** The part of a grid that a range is chosen for. */
export interface GridForm extends Pick<FitAttributes, 'bits' | 'symmetric'> {
  /** `float` for E4M3 values times a scale; integers if absent. */
  readonly type?: 'int' | 'float';
}

/** A calibrator with its options, as quantizers get it. */
export interface BoundCalibrator {
  readonly name: string;
  /** Ranges of values at hand. Enqueues; the caller frees them. */
  ranges(backend: Backend, values: BufferHandle, grid: FitAttributes): RangeBuffers;
  /** The range of values that streamed by. */
  range(statistics: ValueStatistics, grid: GridForm): ValueRange;
}
