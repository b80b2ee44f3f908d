import { type ActivationScheme, type AffineScheme, CalibrantError, type MinifloatScheme } from '@calibrant/core';
import { readActivationArguments } from './activation-arguments.js';

export interface LayerGroup {
  readonly scheme: AffineScheme | MinifloatScheme;
  /** Grid of the layer's inputs; undefined where they stay in floating point. */
  readonly activations: ActivationScheme | undefined;
}

interface ConfigGroup extends LayerGroup {
  readonly targets: readonly string[];
}

/** Which grids the layer of a module's name is on. */
export type GroupOf = (module: string) => LayerGroup | undefined;

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads `quantization_config.config_groups`. A target is a module's name, `re:` and a regular expression, or a class name;
 * the more specific kind wins, as in compressed-tensors.
 *
 * @param onUnknown called for activation grids that cannot be run, by a description of them
 * @throws CalibrantError `UNSUPPORTED` for weights that are neither integers of 2 to 8 bits per tensor, channel or group, nor 8-bit floats.
 */
export function readConfigGroups(config: Json, model: string, onUnknown: (what: string) => void): GroupOf {
  const groups = Object.entries((config.config_groups ?? {}) as Json).map(([name, group]) =>
    readGroup(name, group as Json, model, onUnknown),
  );
  return (module) => {
    const named = groups.find(({ targets }) => targets.includes(module));
    const matched = named ?? groups.find(({ targets }) => targets.some((target) => matchesExpression(target, module)));
    return matched ?? groups.find(({ targets }) => targets.some((target) => /^[A-Z]\w*$/.test(target)));
  };
}

function matchesExpression(target: string, module: string): boolean {
  if (!target.startsWith('re:')) return false;
  try {
    return new RegExp(`^(?:${target.slice(3)})`).test(module);
  } catch {
    return false;
  }
}

function readGroup(name: string, group: Json, model: string, onUnknown: (what: string) => void): ConfigGroup {
  const weights = (group?.weights ?? {}) as Json;
  const scheme = weights.type === 'float' ? floatScheme(weights) : integerScheme(weights);
  if (!scheme || !Array.isArray(group?.targets))
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: quantization_config.config_groups.${name} asks for weights ${JSON.stringify(group?.weights ?? null)}; read are integers of 2 to 8 bits with the strategies tensor, channel and group, and floats of 8 bits with tensor, channel and block.`,
      { file: 'config.json' },
    );
  const inputs = group.input_activations as Json | null | undefined;
  const activations = inputs ? readActivationArguments(inputs) : undefined;
  if (inputs && !activations) onUnknown(`input_activations ${JSON.stringify(inputs)} of ${name}`);
  return { targets: group.targets.map(String), scheme, activations };
}

function integerScheme({ num_bits: bits, group_size: groupSize, symmetric, ...weights }: Json): AffineScheme | undefined {
  const strategy = weights.strategy ?? (groupSize == null ? 'tensor' : groupSize === -1 ? 'channel' : 'group');
  if (typeof bits !== 'number' || !Number.isInteger(bits) || bits < 2 || bits > 8) return undefined;
  const common = { kind: 'affine', bits: bits as AffineScheme['bits'], symmetric: symmetric !== false } as const;
  if (strategy === 'tensor' || strategy === 'channel') return { ...common, granularity: strategy };
  const grouped = strategy === 'group' && typeof groupSize === 'number' && groupSize > 0;
  return grouped ? { ...common, granularity: 'group', groupSize } : undefined;
}

function floatScheme({ num_bits: bits, strategy, block_structure: block }: Json): MinifloatScheme | undefined {
  if (bits !== 8) return undefined;
  const common = { kind: 'minifloat', dtype: 'f8_e4m3' } as const;
  if (strategy === 'tensor' || strategy === 'channel') return { ...common, granularity: strategy };
  // Old files have it as "128x128".
  const sizes = typeof block === 'string' ? block.split('x').map(Number) : block;
  const fits = Array.isArray(sizes) && sizes.length === 2 && sizes.every((size) => Number.isInteger(size) && size > 0);
  return strategy === 'block' && fits ? { ...common, granularity: 'block', blockShape: [sizes[0], sizes[1]] } : undefined;
}
