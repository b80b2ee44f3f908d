import { calibrators } from '@calibrant/calibrators';
import {
  type BoundCalibrator,
  bindCalibrator,
  CalibrantError,
  createRegistry,
  type ExecutionPlan,
  type Recipe,
  type Registry,
} from '@calibrant/core';
import { hasStaticGrids } from './static-ranges.js';

const BUILT_IN = createRegistry([calibrators()]);

/**
 * What chooses static ranges when a recipe does not say: on integers `percentile` (99.99 %), since a few far values would cost all others their precision (Wu et al., arXiv 2004.09602, section 5); on
 * E4M3 `minmax`, since its steps grow with the values and clipping gains nothing.
 */
function defaultCalibrator(): BoundCalibrator {
  const integers = bindCalibrator(BUILT_IN, { name: 'percentile', options: {} });
  const floats = bindCalibrator(BUILT_IN, { name: 'minmax', options: {} });
  return { ...integers, range: (statistics, grid) => (grid.type === 'float' ? floats : integers).range(statistics, grid) };
}

/** The calibrator of a recipe's static activation and cache grids. */
export function bindActivationCalibrator(
  { activationCalibrator }: Pick<Recipe, 'activationCalibrator'>,
  registry: Registry,
): BoundCalibrator {
  return activationCalibrator ? bindCalibrator(registry, activationCalibrator, 'recipe.activationCalibrator') : defaultCalibrator();
}

/** @throws CalibrantError `INVALID_RECIPE` for a calibrator without a static grid to choose the range of */
export function checkActivationCalibrator({ activationCalibrator }: Recipe, execution: ExecutionPlan | undefined): void {
  if (activationCalibrator === undefined || (execution && hasStaticGrids(execution))) return;
  throw new CalibrantError(
    'INVALID_RECIPE',
    `The activation calibrator "${activationCalibrator.name}" chooses the ranges of static grids, and this recipe has none${execution ? ': dynamic grids take their ranges from each input' : ''}. Add activations (--activations int8-tensor-static) or kvCache (--kv-cache fp8-tensor-static), or leave it out.`,
    { option: 'recipe.activationCalibrator' },
  );
}
