import type { BoundCalibrator, ExecutionPlan } from '@calibrant/core';
import { calibratedGrid } from '../execution/static-ranges.js';
import type { ModelStatistics } from './statistics-file.js';

/** The plan with the scales of its static input and cache grids, from the ranges that a calibrator chooses of statistics. Layers that read one value get one scale. */
export function withStaticInputs(plan: ExecutionPlan, { inputs, caches }: ModelStatistics, calibrator: BoundCalibrator): ExecutionPlan {
  const activations = new Map(
    [...plan.activations].map(([name, grid]) => {
      const statistics = inputs.get(name);
      if (grid.scheme.dynamic || grid.scale !== undefined || !statistics) return [name, grid];
      return [name, calibratedGrid(grid.scheme, statistics, calibrator)];
    }),
  );
  if (!plan.keyValueCache) return { ...plan, activations };
  const keyValueCache = new Map(
    [...plan.keyValueCache].map(([block, grids]) => {
      const statistics = caches.get(block);
      const { scheme, scale } = grids.key;
      if (scheme.dynamic || scale !== undefined || !statistics) return [block, grids];
      const gridOf = (part: 'key' | 'value') => calibratedGrid(grids[part].scheme, statistics[part], calibrator);
      return [block, { key: gridOf('key'), value: gridOf('value') }];
    }),
  );
  return { ...plan, activations, keyValueCache };
}
