import type { BoundCalibrator } from '../value-range.js';
import type { Recipe } from './recipe.js';
import { parseOptions } from './recipe.js';
import type { Registry } from './registry.js';

/**
 * The calibrator that a recipe names, with its options. `where` begins the path of an option in messages.
 *
 * @throws CalibrantError `UNKNOWN_NAME`, or `INVALID_RECIPE` for options that it does not take.
 */
export function bindCalibrator(
  registry: Registry,
  named: NonNullable<Recipe['calibrator']>,
  where: 'recipe.calibrator' | 'recipe.activationCalibrator' = 'recipe.calibrator',
): BoundCalibrator {
  const plugin = registry.get('calibrator', named.name);
  const options = parseOptions(plugin.options, named.options, `${where}.options`);
  return {
    name: plugin.name,
    ranges: (backend, values, grid) => plugin.ranges(backend, values, grid, options),
    range: (statistics, grid) => plugin.range(statistics, grid, options),
  };
}
