import type { Calibrator } from '@calibrant/core';
import { entropy } from './entropy.js';
import { minMax } from './min-max.js';
import { movingAverage } from './moving-average.js';
import { mse } from './mse.js';
import { percentile } from './percentile.js';

export { entropy, minMax, movingAverage, mse, percentile };

/** All calibrators, for a registry. */
export const calibrators = (): Calibrator<any>[] => [minMax(), movingAverage(), percentile(), mse(), entropy()];
