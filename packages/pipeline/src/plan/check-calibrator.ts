import { CalibrantError, type PlannedTensor } from '@calibrant/core';

/** A calibrator chooses the ranges of integer grids. @throws CalibrantError `INVALID_RECIPE` when the plan has none. */
export function checkCalibrator(name: string, plan: readonly PlannedTensor[]): void {
  if (plan.some(({ scheme }) => scheme.kind === 'affine')) return;
  throw new CalibrantError(
    'INVALID_RECIPE',
    `The calibrator "${name}" chooses the ranges of integer grids, and this recipe has none: block types such as Q4_K search their scales themselves. Leave the calibrator out, or use a scheme such as int4-g128-asym.`,
    { option: 'recipe.calibrator' },
  );
}
