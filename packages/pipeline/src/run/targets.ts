import { CalibrantError, type PlannedTensor, type Quantizer, type RunOptions } from '@calibrant/core';

/**
 * The planned tensors whose codes the quantizer chooses: on integer grids all, in block types (where it needs calibration) those that are one
 * linear layer as the checkpoint has it. All others are encoded by themselves.
 */
export function targetsOf(plan: readonly PlannedTensor[], quantizer: Quantizer, linears: ReadonlySet<string>): Set<PlannedTensor> {
  const outputs = new Map<string, number>();
  for (const { source } of plan) if (source !== undefined) outputs.set(source, (outputs.get(source) ?? 0) + 1);
  const fills = quantizer.needs.length > 0 && quantizer.quantizeBlocks !== undefined;
  return new Set(
    plan.filter(({ scheme, source, shape, add }) => {
      if (source === undefined || scheme.kind === 'float' || scheme.kind === 'minifloat') return false;
      if (scheme.kind === 'affine') return true;
      const whole = linears.has(source) && outputs.get(source) === 1 && shape.length === 2 && add === undefined;
      return fills && whole && scheme.grid !== undefined;
    }),
  );
}

/**
 * Refuses what a quantizer that needs calibration cannot fill, and warns of tensors that are not one layer each (stacked experts, parts of a fused
 * projection), which are encoded by themselves.
 *
 * @throws CalibrantError `UNSUPPORTED` naming the tensor, its type and what to do.
 */
export function checkGrids(
  quantizer: Quantizer,
  plan: readonly PlannedTensor[],
  linears: ReadonlySet<string>,
  { onEvent }: RunOptions,
): void {
  if (quantizer.needs.length === 0) return;
  for (const { scheme, source } of plan) {
    if (scheme.kind !== 'block' || source === undefined || !linears.has(source)) continue;
    if (!quantizer.quantizeBlocks)
      throw refusal(
        source,
        `The quantizer "${quantizer.name}" works on integer grids such as int4-g128-asym; the scheme stores ${source} as ${scheme.type}, a block type. Use the method rtn with it, or an integer scheme with --format safetensors.`,
      );
    if (!scheme.grid)
      throw refusal(
        source,
        `The quantizer "${quantizer.name}" cannot choose the codes of ${scheme.type}, as which the scheme stores ${source}: the type does not code its values one by one. Use the method rtn with it, or a scheme of other types such as Q4_K_M.`,
      );
  }
  const targets = targetsOf(plan, quantizer, linears);
  const others = plan.filter(
    (planned) =>
      planned.scheme.kind === 'block' &&
      !targets.has(planned) &&
      [planned.source, ...(planned.stacked ?? [])].some((name) => name !== undefined && linears.has(name)),
  );
  if (others.length > 0)
    onEvent?.({
      warning: `The quantizer "${quantizer.name}" leaves ${others.length} tensors that are not one linear layer each, such as ${others[0].name}, to the encoders of their types.`,
      item: 'quantizer',
    });
}

function refusal(tensor: string, message: string): CalibrantError {
  return new CalibrantError('UNSUPPORTED', message, { option: 'recipe.quantizer', tensor });
}
