import { CalibrantError, parseRecipe, type RecipeInput, type Registry } from '@calibrant/core';
import { PRESETS } from '../presets.js';

/** A recipe that takes part in a study as a method of its own, with its scheme and its grids of activations. */
export interface NamedRecipe {
  readonly name: string;
  readonly recipe: RecipeInput;
}

/** A method of a study as a part of a recipe, and whether it needs a calibration set. */
export interface StudyMethod {
  readonly name: string;
  readonly recipe: RecipeInput;
  readonly calibrated: boolean;
}

/**
 * `gptq`, `awq`, `awq+gptq`: transforms in their order, then at most one quantizer (rtn if there is none), on the study's scheme. The name of a preset or a recipe of one's own
 * keeps all that it says but the calibration set.
 *
 * @throws CalibrantError `UNKNOWN_NAME` for what is nothing of this, `INVALID_ARGUMENT` for two quantizers.
 */
export function studyMethod(method: string | NamedRecipe, registry: Registry): StudyMethod {
  const whole = typeof method === 'string' ? PRESETS.find(({ name }) => name === method) : method;
  if (whole) return { name: whole.name, recipe: whole.recipe, calibrated: isCalibrated(whole.recipe, registry) };
  const recipe = composed(method as string, registry);
  return { name: method as string, recipe, calibrated: isCalibrated(recipe, registry) };
}

function composed(name: string, registry: Registry): Pick<RecipeInput, 'quantizer' | 'transforms'> {
  const transforms: string[] = [];
  let quantizer: string | undefined;
  for (const part of name.split('+').map((each) => each.trim())) {
    if (registry.find('transform', part)) transforms.push(part);
    else if (quantizer !== undefined)
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `The method "${name}" has two quantizers, ${quantizer} and ${part}. Name one, after transforms.`,
        { option: '--methods' },
      );
    else quantizer = registry.get('quantizer', part).name;
  }
  return { quantizer: quantizer ?? 'rtn', transforms };
}

/** Whether another calibration set can give another model: transforms and quantizers that observe, and scales of activations or caches that are found beforehand. */
function isCalibrated(input: RecipeInput, registry: Registry): boolean {
  const { transforms, quantizer, activations = '', kvCache = '', importance } = parseRecipe(input);
  return (
    transforms.length > 0 ||
    registry.get('quantizer', quantizer.name).needs.length > 0 ||
    [activations, kvCache].some((grid) => /-static\b/i.test(grid)) ||
    (importance !== undefined && 'calibration' in importance)
  );
}
