import { CalibrantError, type RecipeInput, type Registry } from '@calibrant/core';

/** A method of a study as a part of a recipe, and whether it needs a calibration set. */
export interface StudyMethod {
  readonly name: string;
  readonly recipe: Pick<RecipeInput, 'quantizer' | 'transforms'>;
  readonly calibrated: boolean;
}

/**
 * `gptq`, `awq`, `awq+gptq`: transforms in their order, then at most one quantizer (rtn if there is none).
 *
 * @throws CalibrantError `UNKNOWN_NAME` for what is neither, `INVALID_ARGUMENT` for two quantizers.
 */
export function studyMethod(name: string, registry: Registry): StudyMethod {
  const transforms: string[] = [];
  let quantizer: string | undefined;
  for (const part of name.split('+').map((each) => each.trim())) {
    if (registry.find('transform', part)) transforms.push(part);
    else if (quantizer !== undefined)
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `The method "${name}" has two quantizers, ${quantizer} and ${part}. Name one, after transforms.`,
        {
          option: '--methods',
        },
      );
    else quantizer = registry.get('quantizer', part).name;
  }
  const chosen = quantizer ?? 'rtn';
  return {
    name,
    recipe: { quantizer: chosen, transforms },
    calibrated: transforms.length > 0 || registry.get('quantizer', chosen).needs.length > 0,
  };
}
