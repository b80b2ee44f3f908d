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
    ignore: unquantizedLinears(plan, facts),
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

/**
 * Every linear layer that stays as it is. `lm_head` is always one unless it is quantized: with tied embeddings the module exists although no
 * tensor has its name. Matrices of other modules (a router, say) are named too; naming what is no Linear does no harm.
 */
function unquantizedLinears(plan: readonly PlannedTensor[], facts: ModelFacts): string[] {
  const quantized = new Set(plan.filter(({ scheme }) => scheme.kind === 'affine').map(({ name }) => moduleName(name)));
  const kept = new Set<string>(['lm_head']);
  for (const { name, source, shape } of plan) {
    const matrix = shape.length === 2 && name.endsWith('.weight') && !/(^|\.)(embed\w*|wte|wpe|word_embeddings)\.weight$/.test(name);
    if (matrix || (source !== undefined && facts.linears.has(source))) kept.add(moduleName(name));
  }
  return [...kept].filter((module) => !quantized.has(module)).sort();
}

function moduleName(tensor: string): string {
  return tensor.replace(/\.weight$/, '');
}
