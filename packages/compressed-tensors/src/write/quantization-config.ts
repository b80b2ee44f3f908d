import { keptModules, moduleName } from '@calibrant/checkpoint';
import {
  type ActivationGrid,
  type ActivationScheme,
  activationSchemeName,
  affineSchemeName,
  type FormatInput,
  minifloatSchemeName,
  type PlannedTensor,
  type TensorScheme,
} from '@calibrant/core';
import { type LayoutName, layoutName } from './formats.js';

interface Group {
  readonly scheme: TensorScheme;
  readonly activations: ActivationScheme | undefined;
  readonly format: LayoutName;
  readonly ordered: boolean;
  readonly modules: string[];
}

/**
 * `quantization_config` of config.json, with the keys that every version of compressed-tensors knows; undefined when nothing is quantized.
 * With one grid it targets the class `Linear`, as the library's own presets do, and `lm_head` by name where that is quantized (vLLM and SGLang take it for an embedding unless it is named); with several each names its layers, and where their layouts differ each
 * says its own `format`.
 *
 * `ordered` holds the modules that have a `weight_g_idx`.
 */
export function quantizationConfig(
  { facts, execution }: FormatInput,
  plan: readonly PlannedTensor[],
  ordered: ReadonlySet<string>,
): Record<string, unknown> | undefined {
  const groups = new Map<string, Group>();
  for (const { name, source, scheme } of plan) {
    if (scheme.kind === 'float' || scheme.kind === 'block') continue;
    const module = moduleName(name);
    const activations = execution?.activations.get(source ?? name)?.scheme;
    const key = [gridName(scheme), activations && activationSchemeName(activations), ordered.has(module)].join(' ');
    const group = groups.get(key) ?? {
      scheme,
      activations,
      format: layoutName(scheme, activations),
      ordered: ordered.has(module),
      modules: [],
    };
    group.modules.push(module);
    groups.set(key, group);
  }
  const cache = [...(execution?.keyValueCache?.values() ?? [])][0];
  if (groups.size === 0 && !cache) return undefined;
  const formats = new Set([...groups.values()].map(({ format }) => format));
  const mixed = formats.size > 1;
  const configGroups = [...groups.values()].map((group, i) => [
    `group_${i}`,
    {
      targets: groups.size > 1 ? group.modules : group.modules.includes('lm_head') ? ['Linear', 'lm_head'] : ['Linear'],
      weights: weightArguments(group),
      input_activations: group.activations ? activationArguments(group.activations) : null,
      output_activations: null,
      ...(mixed || !inferable(group) ? { format: group.format } : {}),
    },
  ]);
  return {
    quant_method: 'compressed-tensors',
    format: mixed ? 'mixed-precision' : ([...formats][0] ?? 'dense'),
    quantization_status: 'compressed',
    config_groups: Object.fromEntries(configGroups),
    ignore: keptModules(plan, facts),
    kv_cache_scheme: cache ? cacheArguments(cache) : null,
    global_compression_ratio: null,
  };
}

/** Whether the library finds the layout by the grids alone: that of 0.19 takes integers with quantized inputs for `int-quantized` unless they say otherwise. */
function inferable({ scheme, activations, format }: Group): boolean {
  return !(scheme.kind === 'affine' && activations && format === 'pack-quantized');
}

function gridName(scheme: TensorScheme): string {
  return scheme.kind === 'affine' ? affineSchemeName(scheme) : scheme.kind === 'minifloat' ? minifloatSchemeName(scheme) : scheme.kind;
}

function weightArguments({ scheme, ordered }: Group): Record<string, unknown> {
  if (scheme.kind === 'minifloat')
    return {
      num_bits: 8,
      type: 'float',
      symmetric: true,
      strategy: scheme.granularity,
      group_size: null,
      ...(scheme.blockShape ? { block_structure: scheme.blockShape } : {}),
      dynamic: false,
    };
  if (scheme.kind !== 'affine') throw new TypeError(`${scheme.kind} grids have no place in compressed-tensors`);
  const { bits, symmetric, granularity, groupSize } = scheme;
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

function activationArguments({ bits, type, symmetric, granularity, groupSize, dynamic }: ActivationScheme): Record<string, unknown> {
  return { num_bits: bits, type, symmetric, strategy: granularity, group_size: groupSize ?? null, dynamic };
}

function cacheArguments({ key }: { readonly key: ActivationGrid }): Record<string, unknown> {
  return activationArguments(key.scheme);
}
