import type { ActivationScheme } from '@calibrant/core';

/** The grid that the arguments of `input_activations` or `kv_cache_scheme` mean; undefined for one that cannot be run. */
export function readActivationArguments(given: Readonly<Record<string, unknown>>): ActivationScheme | undefined {
  const { num_bits: bits, type, symmetric, strategy, group_size: groupSize, dynamic } = given;
  const isFloat = type === 'float';
  if (typeof bits !== 'number' || (isFloat ? bits !== 8 : !(bits >= 2 && bits <= 8)) || typeof dynamic === 'string') return undefined;
  const common = { type: isFloat ? 'float' : 'int', bits, symmetric: symmetric !== false, dynamic: dynamic === true } as const;
  if (strategy === 'tensor') return { ...common, granularity: 'tensor' };
  if (!common.dynamic) return undefined;
  if (strategy === 'token') return { ...common, granularity: 'token' };
  return strategy === 'group' && typeof groupSize === 'number' && groupSize > 0
    ? { ...common, granularity: 'group', groupSize }
    : undefined;
}
