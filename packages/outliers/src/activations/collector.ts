import { type Backend, type BufferHandle, createOrderedFetch, type TypedArray } from '@calibrant/core';
import { channelStatistics } from '../kernels/channel-statistics.js';
import { MAGNITUDES, magnitudeCounts } from '../kernels/magnitude-counts.js';
import { rowStatistics } from '../kernels/row-statistics.js';
import { excessKurtosis, type Moments, mergeMoments, NO_MOMENTS, rowMoments } from '../moments.js';

/** Sequences whose results are on their way. */
const IN_FLIGHT = 16;

/** Everything that is added up of one activation. */
export interface ActivationTotals {
  readonly width: number;
  tokens: number;
  readonly absMax: Float32Array;
  readonly sums: Float64Array;
  readonly squares: Float64Array;
  /** Tokens with |x| ≥ threshold, by channel. */
  readonly above: Float64Array;
  readonly magnitudes: Float64Array;
  moments: Moments;
  readonly tokenKurtosis: { sum: number; max: number };
}

/** Adds up what it is shown, point by point. */
export interface ActivationCollector {
  /** Enqueues the statistics of an activation `[tokens, width]` on its lane. Points that were not announced are passed over. */
  observe(point: string, x: BufferHandle): void;
  /** Fetches results until few are waiting. Call between units of work. */
  settle(): Promise<void>;
  /** Fetches all that waits and gives the totals by point. Rejects with the first failure. */
  finish(): Promise<Map<string, ActivationTotals>>;
}

/**
 * Collects what outliers are judged by. Sums are made in f64 on the lane of the input and added in the order of the calls: the result depends neither on lanes nor
 * on timing.
 *
 * @param points points with their widths; one that is never observed ends with 0 tokens
 */
export function createActivationCollector(backend: Backend, points: ReadonlyMap<string, number>, threshold: number): ActivationCollector {
  const totals = new Map([...points].map(([point, width]) => [point, emptyTotals(width)]));
  const queue = createOrderedFetch(backend, IN_FLIGHT);
  return {
    observe(point, x) {
      const total = totals.get(point);
      if (!total) return;
      const tokens = x.shape[0];
      const handles = {
        ...backend.run(channelStatistics, { x }, { threshold }),
        ...backend.run(magnitudeCounts, { x }, {}),
        ...backend.run(rowStatistics, { x }, {}),
      };
      queue.push(handles, (found) => addTo(total, tokens, found));
    },
    settle: queue.settle,
    async finish() {
      await queue.finish();
      return totals;
    },
  };
}

function emptyTotals(width: number): ActivationTotals {
  const zeros = () => new Float64Array(width);
  return {
    width,
    tokens: 0,
    absMax: new Float32Array(width),
    sums: zeros(),
    squares: zeros(),
    above: zeros(),
    magnitudes: new Float64Array(MAGNITUDES),
    moments: NO_MOMENTS,
    tokenKurtosis: { sum: 0, max: -Infinity },
  };
}

function addTo(total: ActivationTotals, tokens: number, found: Record<string, TypedArray>): void {
  const { width } = total;
  const [absMax, sums, squares, above, counts] = [found['absMax'], found['sums'], found['squares'], found['above'], found['counts']] as [
    Float32Array,
    Float64Array,
    Float64Array,
    Int32Array,
    Int32Array,
  ];
  total.tokens += tokens;
  for (let c = 0; c < width; c++) {
    total.absMax[c] = Math.max(total.absMax[c], absMax[c]);
    total.sums[c] += sums[c];
    total.squares[c] += squares[c];
    total.above[c] += above[c];
  }
  for (let bin = 0; bin < MAGNITUDES; bin++) total.magnitudes[bin] += counts[bin];
  const moments = found['moments'] as Float64Array;
  for (let at = 0; at < moments.length; at += 4) {
    const row = rowMoments(moments, at, width);
    const kurtosis = excessKurtosis(row);
    total.tokenKurtosis.sum += kurtosis;
    total.tokenKurtosis.max = Math.max(total.tokenKurtosis.max, kurtosis);
    total.moments = mergeMoments(total.moments, row);
  }
}
