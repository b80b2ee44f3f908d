import { keptModules, moduleName } from '@calibrant/checkpoint';
import { type AffineScheme, affineSchemeName, type ModelFacts, type PlannedTensor } from '@calibrant/core';

/**
 * `quantization_config` of config.json, with the keys that every version of compressed-tensors knows; undefined when nothing is quantized.
 * With one grid it targets the class `Linear`, as the library's own presets do; with several each names its layers.
 *
 * `ordered` holds the modules that have a `weight_g_idx`.
 */
export function quantizationConfig(
  plan: readonly PlannedTensor[],
  facts: ModelFacts,
  ordered: ReadonlySet<string>,
): Record<string, unknown> | undefined {
  const groups = new Map<string, { readonly scheme: AffineScheme; readonly ordered: boolean; readonly modules: string[] }>();
  for (const { name, scheme } of plan) {
    if (scheme.kind !== 'affine') continue;
    const module = moduleName(name);
    const key = `${affineSchemeName(scheme)} ${ordered.has(module)}`;
    const group = groups.get(key) ?? { scheme, ordered: ordered.has(module), modules: [] };
    group.modules.push(module);
    groups.set(key, group);
  }
  if (groups.size === 0) return undefined;
  const configGroups = [...groups.values()].map((group, i) => [
    `group_${i}`,
    {
      targets: groups.size === 1 ? ['Linear'] : group.modules,
      weights: weightArguments(group.scheme, group.ordered),
      input_activations: null,
      output_activations: null,
    },
  ]);
  return {
    quant_method: 'compressed-tensors',
    format: 'pack-quantized',
    quantization_status: 'compressed',
    config_groups: Object.fromEntries(configGroups),
    ignore: keptModules(plan, facts),
    kv_cache_scheme: null,
    global_compression_ratio: null,
  };
}

function weightArguments({ bits, symmetric, granularity, groupSize }: AffineScheme, ordered: boolean): Record<string, unknown> {
  return {
    num_bits: bits,
    type: 'int',
    symmetric,
    strategy: granularity,
    group_size: granularity === 'group' ? groupSize : null,
    dynamic: false,
    ...(ordered ? { actorder: 'group' } : {}),
  };
}
