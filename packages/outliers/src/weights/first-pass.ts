import { type Backend, CalibrantError, fetchAll, type RunOptions } from '@calibrant/core';
import { channelStatistics } from '../kernels/channel-statistics.js';
import { rowMedians } from '../kernels/row-medians.js';
import { rowStatistics } from '../kernels/row-statistics.js';
import { type Moments, mergeMoments, momentsOfRows, NO_MOMENTS } from '../moments.js';
import type { WeightChunks, WeightSource } from './weight-source.js';

/** What one pass over a weight gives. */
export interface FirstPass {
  readonly moments: Moments;
  readonly min: number;
  readonly max: number;
  readonly outAbsMax: Float32Array;
  readonly outMedian: Float32Array;
  readonly inAbsMax: Float32Array;
  readonly inRms: Float64Array;
}

/** @throws CalibrantError `NON_FINITE` for a weight with NaN or infinite values. */
export async function firstPass(backend: Backend, source: WeightSource, chunks: WeightChunks, run: RunOptions): Promise<FirstPass> {
  const [out, width] = source.shape;
  const [outAbsMax, outMedian, inAbsMax] = [new Float32Array(out), new Float32Array(out), new Float32Array(width)];
  const squares = new Float64Array(width);
  let moments = NO_MOMENTS;
  let [min, max] = [Infinity, -Infinity];
  await chunks.pass(
    (x) =>
      fetchAll(backend, {
        ...backend.run(channelStatistics, { x }, { threshold: Infinity }),
        ...backend.run(rowStatistics, { x }, {}),
        ...backend.run(rowMedians, { x }, {}),
      }),
    (found, firstRow) => {
      const ranges = found.ranges as Float32Array;
      for (let r = 0; r < ranges.length / 2; r++) {
        min = Math.min(min, ranges[2 * r]);
        max = Math.max(max, ranges[2 * r + 1]);
        outAbsMax[firstRow + r] = Math.max(-ranges[2 * r], ranges[2 * r + 1]);
      }
      outMedian.set(found.medians as Float32Array, firstRow);
      moments = mergeMoments(moments, momentsOfRows(found.moments as Float64Array, width));
      for (let c = 0; c < width; c++) {
        inAbsMax[c] = Math.max(inAbsMax[c], found.absMax[c] as number);
        squares[c] += found.squares[c] as number;
      }
    },
    run,
  );
  if (!Number.isFinite(moments.mean) || !Number.isFinite(min) || !Number.isFinite(max))
    throw new CalibrantError('NON_FINITE', `${source.name} holds NaN or infinite values. Check the checkpoint, or download it again.`, {
      tensor: source.name,
    });
  return { moments, min, max, outAbsMax, outMedian, inAbsMax, inRms: squares.map((sum) => Math.sqrt(sum / out)) };
}
