import {
  CalibrantError,
  type ModelFacts,
  nearest,
  type OutputTensor,
  parseAffineScheme,
  parseMinifloatScheme,
  parseOptions,
  type Registry,
  type Scheme,
  type TensorScheme,
} from '@calibrant/core';

/** Options of a recipe's scheme that hold for types given to single tensors, too: how blocks are searched. */
export function sharedOptions({ search }: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return search === undefined ? {} : { search };
}

type Assignment = ReadonlyMap<string, TensorScheme | undefined>;

/**
 * The grid of each tensor under a scheme's name: an integer grid (`int4-g128-asym`) or one of 8-bit floats (`fp8-channel`) covers the weights of the linear layers inside
 * blocks, a registered scheme (`Q4_K_M`) decides by itself.
 *
 * @param plain give every tensor the scheme's own type, without the rules of a mixture, where the scheme has an option `pure`
 */
export function assignScheme(
  scheme: { readonly name: string; readonly options: Readonly<Record<string, unknown>> },
  outputs: readonly OutputTensor[],
  facts: ModelFacts,
  registry: Registry,
  plain = false,
  warn?: (text: string) => void,
): Assignment {
  const grid = parseAffineScheme(scheme.name) ?? parseMinifloatScheme(scheme.name);
  if (grid) return new Map(outputs.map((output) => [output.name, output.source && facts.linears.has(output.source) ? grid : undefined]));
  const found = findScheme(scheme, registry);
  if (!found) {
    const known = registry.list('scheme').map(({ name }) => name);
    const close = nearest(scheme.name, known);
    throw new CalibrantError(
      'UNKNOWN_NAME',
      `There is no scheme named "${scheme.name}".${close ? ` Did you mean "${close}"?` : ''} Known: ${[...known, 'and integer grids such as int4-g128-asym, int8-channel-sym, int3-tensor', '8-bit floats fp8-channel, fp8-tensor, fp8-block'].join(', ')}.`,
      { option: 'recipe.scheme' },
    );
  }
  const { plugin, options } = found;
  const given = plain && plugin.options.safeParse({ ...options, pure: true }).success ? { ...options, pure: true } : options;
  return plugin.assign(outputs, facts, parseOptions(plugin.options, given, 'recipe.scheme.options'), warn);
}

type Named = Parameters<typeof assignScheme>[0];

/** The scheme of a name, or of one that also says its options (`nf4-g128`); options that are given on top of these count. */
function findScheme(
  { name, options }: Named,
  registry: Registry,
): { readonly plugin: Scheme; readonly options: Named['options'] } | undefined {
  const plugin = registry.find('scheme', name);
  if (plugin) return { plugin, options };
  for (const each of registry.list('scheme')) {
    const named = each.optionsOfName?.(name);
    if (named) return { plugin: each, options: { ...(named as Named['options']), ...options } };
  }
  return undefined;
}
