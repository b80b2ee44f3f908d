import { keptModules, moduleName } from '@calibrant/checkpoint';
import {
  type AffineScheme,
  affineSchemeName,
  CalibrantError,
  type FormatContext,
  type FormatInput,
  type PlannedTensor,
} from '@calibrant/core';

/**
 * The grid of all quantized layers; undefined when nothing is quantized.
 *
 * @throws CalibrantError `UNSUPPORTED` when layers differ in their group size.
 */
export function oneGrid(plan: readonly PlannedTensor[]): AffineScheme | undefined {
  const quantized = plan.filter(({ scheme }) => scheme.kind === 'affine');
  const first = quantized[0]?.scheme as AffineScheme | undefined;
  const other = quantized.find(({ scheme }) => (scheme as AffineScheme).groupSize !== first?.groupSize);
  if (first && other)
    throw new CalibrantError(
      'UNSUPPORTED',
      `AWQ files have one group size for all layers: ${quantized[0].name} is ${affineSchemeName(first)} and ${other.name} is ${affineSchemeName(other.scheme as AffineScheme)}. Use one grid, or the format gptq or compressed-tensors.`,
      { tensor: other.name, option: 'recipe.overrides' },
    );
  return first;
}

/**
 * `quantization_config` of config.json, and the `quant_config.json` of AutoAWQ that older loaders read. `zero_point` is always true: symmetric grids are
 * stored with the constant zero point 8, since readers of the GEMM layout expect zero points.
 */
export function quantizationConfig(
  { facts }: FormatInput,
  plan: readonly PlannedTensor[],
  grid: AffineScheme | undefined,
  { onEvent }: FormatContext,
) {
  if (!grid) return undefined;
  const groupSize = grid.groupSize ?? -1;
  const kept = nameable(
    plan,
    keptModules(plan, facts).filter((module) => module !== 'lm_head'),
    onEvent,
  );
  const modules = kept.length > 0 ? kept : null;
  return {
    quantization: {
      quant_method: 'awq',
      bits: 4,
      group_size: groupSize,
      zero_point: true,
      version: 'gemm',
      modules_to_not_convert: modules,
    },
    files: {
      'quant_config.json': { zero_point: true, q_group_size: groupSize, w_bit: 4, version: 'GEMM', modules_to_not_convert: modules },
    },
  };
}

/** Readers look for these names inside module names, so one that a quantized module's name contains would exclude that module as well. */
function nameable(plan: readonly PlannedTensor[], kept: readonly string[], onEvent: FormatContext['onEvent']): string[] {
  const quantized = plan.filter(({ scheme }) => scheme.kind === 'affine').map(({ name }) => moduleName(name));
  return kept.filter((module) => {
    const hidden = quantized.find((name) => name.includes(module));
    if (hidden)
      onEvent?.({
        warning: `${module} stays unquantized but cannot be listed in modules_to_not_convert, since ${hidden} contains its name. Readers that do not know the architecture may look for its packed weight.`,
        item: module,
      });
    return !hidden;
  });
}
