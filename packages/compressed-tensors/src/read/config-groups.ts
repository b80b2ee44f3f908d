import { type AffineScheme, CalibrantError } from '@calibrant/core';

interface ConfigGroup {
  readonly targets: readonly string[];
  readonly scheme: AffineScheme;
}

/** Which grid the layer of a module's name is on. */
export type SchemeOf = (module: string) => AffineScheme | undefined;

/**
 * Reads `quantization_config.config_groups`. A target is a module's name, `re:` and a regular expression, or a class name;
 * the more specific kind wins, as in compressed-tensors.
 *
 * @throws CalibrantError `UNSUPPORTED` for weights that are not integers of 2 to 8 bits per tensor, channel or group.
 */
export function readConfigGroups(config: Readonly<Record<string, unknown>>, model: string): SchemeOf {
  const groups = Object.entries((config.config_groups ?? {}) as Record<string, unknown>).map(([name, group]) =>
    readGroup(name, group, model),
  );
  return (module) => {
    const named = groups.find(({ targets }) => targets.includes(module));
    const matched = named ?? groups.find(({ targets }) => targets.some((target) => matchesExpression(target, module)));
    return (matched ?? groups.find(({ targets }) => targets.some((target) => /^[A-Z]\w*$/.test(target))))?.scheme;
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

function readGroup(name: string, group: unknown, model: string): ConfigGroup {
  const { targets, weights } = group as { targets?: unknown; weights?: Record<string, unknown> | null };
  const bits = weights?.num_bits;
  const strategy = weights?.strategy ?? (weights?.group_size == null ? 'tensor' : weights.group_size === -1 ? 'channel' : 'group');
  const groupSize = weights?.group_size;
  const supported =
    weights?.type !== 'float' &&
    typeof bits === 'number' &&
    Number.isInteger(bits) &&
    bits >= 2 &&
    bits <= 8 &&
    (strategy === 'tensor' || strategy === 'channel' || (strategy === 'group' && typeof groupSize === 'number' && groupSize > 0));
  if (!supported || !Array.isArray(targets))
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: quantization_config.config_groups.${name} asks for weights ${JSON.stringify(weights ?? null)}; read are integers of 2 to 8 bits with the strategies tensor, channel and group.`,
      { file: 'config.json' },
    );
  const common = { kind: 'affine', bits: bits as AffineScheme['bits'], symmetric: weights?.symmetric !== false } as const;
  const scheme: AffineScheme =
    strategy === 'group'
      ? { ...common, granularity: 'group', groupSize: groupSize as number }
      : { ...common, granularity: strategy as 'tensor' | 'channel' };
  return { targets: targets.map(String), scheme };
}
