import { keptModules, moduleName } from '@calibrant/checkpoint';
import { type AffineScheme, affineSchemeName, type FormatInput, type PlannedTensor } from '@calibrant/core';
import type { CheckpointVersion } from './checkpoint-version.js';
import { modulePatterns } from './module-patterns.js';

/**
 * `quantization_config` of config.json, also saved as `quantize_config.json`, which older loaders read alone. The grid of most layers is the base;
 * layers that differ or stay as they are get rules of `dynamic`, by the names under which vLLM fuses them, too.
 *
 * `ordered` holds the modules whose groups are not contiguous.
 */
export function quantizationConfig(
  { facts, recipe }: FormatInput,
  plan: readonly PlannedTensor[],
  version: CheckpointVersion,
  ordered: ReadonlySet<string>,
) {
  const byGrid = new Map<string, { readonly scheme: AffineScheme; readonly modules: string[] }>();
  for (const { name, scheme } of plan) {
    if (scheme.kind !== 'affine') continue;
    const grid = byGrid.get(affineSchemeName(scheme)) ?? { scheme, modules: [] };
    grid.modules.push(moduleName(name));
    byGrid.set(affineSchemeName(scheme), grid);
  }
  const [base, ...others] = [...byGrid.values()].sort((a, b) => b.modules.length - a.modules.length);
  if (!base) return undefined;
  const rules: Record<string, unknown> = {};
  for (const pattern of modulePatterns(keptModules(plan, facts).filter((module) => module !== 'lm_head'))) rules[`-:${pattern}`] = {};
  for (const { scheme, modules } of others) for (const pattern of modulePatterns(modules)) rules[`+:${pattern}`] = gridKeys(scheme);
  const { staticGroups, dampPercent, trueSequential } = quantizerOptions(recipe);
  const quantization = {
    quant_method: 'gptq',
    ...gridKeys(base.scheme),
    desc_act: ordered.size > 0,
    static_groups: staticGroups ?? false,
    true_sequential: trueSequential ?? true,
    ...(typeof dampPercent === 'number' ? { damp_percent: dampPercent } : {}),
    lm_head: plan.some(({ name, scheme }) => name === 'lm_head.weight' && scheme.kind === 'affine'),
    checkpoint_format: version,
    pack_dtype: 'int32',
    ...(Object.keys(rules).length > 0 ? { dynamic: rules } : {}),
    meta: { quantizer: ['calibrant'] },
  };
  return { quantization, files: { 'quantize_config.json': quantization } };
}

function gridKeys({ bits, groupSize, symmetric }: AffineScheme) {
  return { bits, group_size: groupSize ?? -1, sym: symmetric };
}

function quantizerOptions(recipe: unknown): { staticGroups?: unknown; dampPercent?: unknown; trueSequential?: unknown } {
  return (recipe as { quantizer?: { options?: Record<string, unknown> } } | undefined)?.quantizer?.options ?? {};
}
