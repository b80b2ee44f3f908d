import type { BoundCalibrator, ExecutionPlan } from '@calibrant/core';
import { calibratedGrid } from '../execution/static-ranges.js';
import type { ModelStatistics } from './statistics-file.js';

/** The plan with the scales of its static input grids, from the ranges that a calibrator chooses of statistics. Layers that read one value get one scale. */
export function withStaticInputs(plan: ExecutionPlan, { inputs }: ModelStatistics, calibrator: BoundCalibrator): ExecutionPlan {
  const activations = new Map(
    [...plan.activations].map(([name, grid]) => {
      const statistics = inputs.get(name);
      if (grid.scheme.dynamic || grid.scale !== undefined || !statistics) return [name, grid];
      return [name, calibratedGrid(grid.scheme, statistics, calibrator)];
    }),
  );
  return { ...plan, activations };
}
