import { type Calibrator, defineCalibrator } from '@calibrant/core';
import { z } from 'zod';
import { minMaxRanges } from './min-max.js';
import { forGrid } from './range-kernel.js';

const schema = z.strictObject({
  averagingConstant: z.number().gt(0).max(1).default(0.01).describe('weight of each new sequence in the average'),
});

export type MovingAverageOptions = z.output<typeof schema>;

/**
 * `moving-average`: the exponential moving average over the sequences of their least and greatest value (Jacob et al., arXiv 1712.05877, section 3.1),
 * `m ← m + c · (x − m)` from the first sequence on: one unusual sequence moves it little. Values at hand, such as weights, come at once, and it is `minmax`.
 */
export function movingAverage(): Calibrator<MovingAverageOptions> {
  return defineCalibrator<MovingAverageOptions>({
    name: 'moving-average',
    meta: {
      description: 'Average over sequences of their ranges: one unusual sequence moves it little',
      source: 'https://arxiv.org/abs/1712.05877',
      package: '@calibrant/calibrators',
    },
    options: schema,
    ranges: (backend, w, grid) => backend.run(minMaxRanges, { w }, grid),
    range({ sequenceLows, sequenceHighs }, { symmetric }, { averagingConstant }) {
      const low = Math.min(0, movingAverageOf(sequenceLows, averagingConstant));
      return forGrid({ low, high: Math.max(0, movingAverageOf(sequenceHighs, averagingConstant)) }, symmetric);
    },
  });
}

function movingAverageOf(values: Float32Array, constant: number): number {
  return values.reduce((average, value, i) => (i === 0 ? value : average + constant * (value - average)), 0);
}
