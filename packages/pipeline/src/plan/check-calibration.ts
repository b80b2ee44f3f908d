import { CalibrantError, type ExecutionPlan, type PlannedTensor, type Recipe } from '@calibrant/core';
import { hasStaticGrids } from '../execution/static-ranges.js';

/** What a plan has to do with calibration. */
export interface CalibrationUse {
  readonly recipe: Recipe;
  /** Something of it observes the model on calibration text. */
  readonly observes: boolean;
  readonly execution: ExecutionPlan | undefined;
}

/** What a recipe says of calibration to no effect, as sentences. */
export function idleCalibrationOptions({ recipe, observes, execution }: CalibrationUse): string[] {
  const { propagate, roundedCalibration } = recipe;
  const rounded = execution !== undefined && [...execution.activations.values()].some(({ scheme }) => scheme.dynamic);
  const roundedCache = [...(execution?.keyValueCache?.values() ?? [])].some(({ key }) => key.scheme.dynamic);
  return [
    ...(propagate !== undefined && !observes ? ['propagate has no effect: nothing in this recipe is calibrated'] : []),
    ...(roundedCalibration && !(observes && (rounded || roundedCache))
      ? [
          'roundedCalibration has no effect: it needs a method that observes the model, and dynamic grids of activations or of the cache (--activations int8-token)',
        ]
      : []),
  ];
}

/** Whether static ranges are wanted, or a method or transform that needs data. */
export function observesModel(needs: readonly { readonly needs: readonly unknown[] }[], execution: ExecutionPlan | undefined): boolean {
  return needs.some((plugin) => plugin.needs.length > 0) || (execution !== undefined && hasStaticGrids(execution));
}

/**
 * AWQ files have no place for the order of columns that scatters groups: that is known before the first layer is quantized.
 *
 * @throws CalibrantError `INVALID_RECIPE`
 */
export function checkOrder({ quantizer, calibrator }: Recipe, format: string, plan: readonly PlannedTensor[]): void {
  const { name, options } = quantizer;
  const scatters = name === 'gptq' && options.actOrder === 'full' && options.staticGroups !== true && calibrator === undefined;
  if (format !== 'awq' || !scatters || !plan.some(({ scheme }) => scheme.kind === 'affine' && scheme.granularity === 'group')) return;
  throw new CalibrantError(
    'INVALID_RECIPE',
    'actOrder=full scatters groups over the inputs, and AWQ files have no place for the order. Use actOrder=group-aware or none, staticGroups=true, or the format gptq.',
    { option: 'recipe.quantizer.options.actOrder' },
  );
}
