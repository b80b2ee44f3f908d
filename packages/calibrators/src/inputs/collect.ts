import { type Backend, type BufferHandle, CalibrantError, createOrderedFetch, type TypedArray } from '@calibrant/core';
import { emptyStatistics, type InputStatistics, mergeStatistics } from './input-statistics.js';
import { inputStatistics } from './kernel.js';

/** Sequences whose results are on their way. */
const IN_FLIGHT = 64;

/** Gathers statistics of what it is shown, point by point. */
export interface InputCollector {
  /** Enqueues the statistics of a linear layer's input `[tokens, n]`, of one sequence, on the input's lane. Without tokens nothing is added. */
  observe(point: string, x: BufferHandle): void;
  /** Fetches until few are waiting. Call between units of work. */
  settle(): Promise<void>;
  /** Fetches all that waits, and gives the statistics by point. Rejects with the first failure. */
  finish(): Promise<Map<string, InputStatistics>>;
}

/**
 * Collects {@link InputStatistics}. Sums of a sequence are made in f64 on the lane of its input, and added in the order of the calls: the result depends neither on lanes nor on timing.
 *
 * @param points points with their channels; one that is never observed ends with statistics of no token. Without it every point that is observed counts
 * @throws CalibrantError `NON_FINITE` (from `settle` and `finish`) when an input holds NaN or infinite values, with their number and the point
 * @example
 * const collector = createInputCollector(backend, new Map([['attention input', 4096]]));
 * collector.observe('attention input', x);
 * const { tokens, peaks } = (await collector.finish()).get('attention input')!;
 */
export function createInputCollector(backend: Backend, points?: ReadonlyMap<string, number>): InputCollector {
  const totals = new Map([...(points ?? [])].map(([point, channels]) => [point, emptyStatistics(channels)]));
  const queue = createOrderedFetch(backend, IN_FLIGHT);
  return {
    observe(point, x) {
      const tokens = x.shape[0];
      if ((points && !points.has(point)) || tokens === 0) return;
      queue.push(backend.run(inputStatistics, { x }, {}), (found) => {
        const part = ofSequence(found, tokens, point);
        const before = totals.get(point);
        totals.set(point, before ? mergeStatistics(before, part) : part);
      });
    },
    settle: queue.settle,
    async finish() {
      await queue.finish();
      return totals;
    },
  };
}

function ofSequence(found: Record<string, TypedArray>, tokens: number, point: string): InputStatistics {
  const { peaks, sums, squares, range, exponent, counts, notFinite } = found;
  const bad = Number(notFinite[0]);
  if (bad > 0)
    throw new CalibrantError(
      'NON_FINITE',
      `${bad} of the ${tokens * peaks.length} values that reach ${point} on a calibration sequence are NaN or infinite. Check the weights of the checkpoint before this layer, or calibrate on other text.`,
      { tensor: point },
    );
  return {
    tokens,
    peaks: peaks as Float32Array,
    sums: sums as Float64Array,
    squares: squares as Float64Array,
    histogram: { exponent: Number(exponent[0]), counts: Float64Array.from(counts as Int32Array) },
    sequenceLows: Float32Array.of(Number(range[0])),
    sequenceHighs: Float32Array.of(Number(range[1])),
  };
}
