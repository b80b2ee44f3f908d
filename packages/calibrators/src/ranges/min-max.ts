import { type Calibrator, defineCalibrator, type FitAttributes, type ValueRange, type ValueStatistics } from '@calibrant/core';
import { z } from 'zod';
import { forGrid, rangeKernel, wholeRange } from './range-kernel.js';

/** The whole range of each group, 0 included. */
export const minMaxRanges = rangeKernel<FitAttributes>('minMaxRanges', {
  range: (values, { symmetric }) => forGrid(wholeRange(values), symmetric),
  scalars: ({ symmetric }) => [Number(symmetric)],
  chunkRows: 64,
});

/** From the least to the greatest value of all sequences, 0 included. */
export function observedRange({ sequenceLows, sequenceHighs }: ValueStatistics): ValueRange {
  return {
    low: sequenceLows.reduce((least, value) => Math.min(least, value), 0),
    high: sequenceHighs.reduce((most, value) => Math.max(most, value), 0),
  };
}

/** `minmax`: the whole range of the values; clips nothing. */
export function minMax(): Calibrator<Record<string, never>> {
  return defineCalibrator<Record<string, never>>({
    name: 'minmax',
    aliases: ['min-max'],
    meta: { description: 'The whole range: clips nothing, fastest', package: '@calibrant/calibrators' },
    options: z.strictObject({}),
    ranges: (backend, w, grid) => backend.run(minMaxRanges, { w }, grid),
    range: (statistics, { symmetric }) => forGrid(observedRange(statistics), symmetric),
  });
}
