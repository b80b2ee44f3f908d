import { type ActivationScheme, type AffineScheme, CalibrantError, type MinifloatScheme } from '@calibrant/core';
import { readActivationArguments } from './activation-arguments.js';

/** 4-bit floats (OCP E2M1) in groups along the rows: NVFP4 has E4M3 scales times one of the tensor, MXFP4 powers of two (E8M0). */
export interface Fp4Scheme {
  readonly kind: 'fp4';
  readonly name: 'nvfp4' | 'mxfp4';
  readonly groupSize: number;
}

export interface LayerGroup {
  readonly scheme: AffineScheme | MinifloatScheme | Fp4Scheme;
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
 * @throws CalibrantError `UNSUPPORTED` for weights that are neither integers of 2 to 8 bits per tensor, channel or group, nor floats of 8 bits, or of 4 as NVFP4 and MXFP4 have them.
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
  const scheme = weights.type === 'float' ? (fp4Scheme(weights) ?? floatScheme(weights)) : integerScheme(weights);
  if (!scheme || !Array.isArray(group?.targets))
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: quantization_config.config_groups.${name} asks for weights ${JSON.stringify(group?.weights ?? null)}; read are integers of 2 to 8 bits with the strategies tensor, channel and group, and floats of 8 bits with tensor, channel and block, or of 4 bits with tensor_group (NVFP4) and group (MXFP4).`,
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

function fp4Scheme({ num_bits: bits, strategy, group_size: groupSize }: Json): Fp4Scheme | undefined {
  const name = strategy === 'tensor_group' ? 'nvfp4' : strategy === 'group' ? 'mxfp4' : undefined;
  return bits === 4 && name && typeof groupSize === 'number' && groupSize > 0 ? { kind: 'fp4', name, groupSize } : undefined;
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
