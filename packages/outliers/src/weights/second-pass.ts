import { type Backend, type BufferHandle, fetchAll, type RunOptions, tensor } from '@calibrant/core';
import { columnBins } from '../kernels/column-bins.js';
import { valueCounts } from '../kernels/value-counts.js';
import { deviation } from '../moments.js';
import { codeCounts, type Grid } from './code-counts.js';
import type { FirstPass } from './first-pass.js';
import { ceilF32, floorF32 } from './limits.js';
import type { WeightChunks } from './weight-source.js';

/** Parts of [0, √2 · rms] in which the median of a column is looked for. */
const MEDIAN_BINS = 64;

/** Besides one for zeros and one for what is larger. */
const COLUMN_BINS = MEDIAN_BINS + 2;

export interface SecondPass {
  readonly histogram: Float64Array;
  /** Weights beyond each number of standard deviations. */
  readonly beyond: Float64Array;
  readonly inMedian: Float64Array;
  /** How often each code of each grid occurs. */
  readonly codes: readonly Float64Array[];
}

export interface SecondPassOptions {
  readonly sigmas: readonly number[];
  readonly bins: number;
  readonly grids: readonly Grid[];
}

/** What can be counted once ranges are known. */
export async function secondPass(
  backend: Backend,
  chunks: WeightChunks,
  first: FirstPass,
  { sigmas, bins, grids }: SecondPassOptions,
  run: RunOptions,
): Promise<SecondPass> {
  const { moments, min, max, inRms } = first;
  const sigma = deviation(moments);
  const f32 = (values: ArrayLike<number>) => tensor('f32', [values.length], Float32Array.from(values));
  // At least half of a column is below √2 · rms (Markov's inequality for x²), so its median is in these bins.
  const perUnit = inRms.map((rms) => (rms > 0 ? MEDIAN_BINS / (Math.SQRT2 * rms) : 0));
  const [upper, lower, columnUnits] = await Promise.all([
    backend.upload(f32(sigmas.map((k) => floorF32(moments.mean + k * sigma)))),
    backend.upload(f32(sigmas.map((k) => ceilF32(moments.mean - k * sigma)))),
    backend.upload(f32(perUnit)),
  ]);
  const histogram = new Float64Array(bins);
  const beyond = new Float64Array(sigmas.length);
  const columnCounts = new Float64Array(inRms.length * COLUMN_BINS);
  const codes = grids.map(() => new Float64Array(256));
  const attributes = { low: min, perUnit: max > min ? bins / (max - min) : 0, bins };
  try {
    await chunks.pass(
      async (x) => {
        const { counts, beyond: found } = backend.run(valueCounts, { x, upper, lower }, attributes);
        const columns = backend.run(columnBins, { x, perUnit: columnUnits }, { bins: COLUMN_BINS }).counts;
        const ofGrids: Record<string, BufferHandle> = {};
        for (const [i, grid] of grids.entries()) ofGrids[`codes${i}`] = await codeCounts(backend, x, grid, first);
        return fetchAll<string>(backend, { counts, found, columns, ...ofGrids });
      },
      (found) => {
        addTo(histogram, found['counts'] as Int32Array);
        addTo(beyond, found['found'] as Int32Array);
        addTo(columnCounts, found['columns'] as Int32Array);
        for (const [i, counts] of codes.entries()) addTo(counts, found[`codes${i}`] as Int32Array);
      },
      run,
    );
  } finally {
    backend.free(upper, lower, columnUnits);
  }
  const rows = moments.count / inRms.length;
  return { histogram, beyond, inMedian: perUnit.map((unit, c) => columnMedian(columnCounts, c, rows, unit)), codes };
}

function addTo(total: Float64Array, counts: Int32Array): void {
  for (let i = 0; i < total.length; i++) total[i] += counts[i];
}

/** 0 where half of the column is 0; else within a bin of a value in the middle: off by at most √2 / 64 of the column's rms. */
function columnMedian(counts: Float64Array, column: number, rows: number, perUnit: number): number {
  const start = column * COLUMN_BINS;
  let before = counts[start];
  if (perUnit === 0 || before >= rows / 2) return 0;
  for (let bin = 0; bin < MEDIAN_BINS; bin++) {
    const count = counts[start + 1 + bin];
    if (before + count >= rows / 2) return (bin + (rows / 2 - before) / count) / perUnit;
    before += count;
  }
  return MEDIAN_BINS / perUnit;
}
