import { CalibrantError } from './errors.js';
import type { AffineScheme } from './scheme.js';

/**
 * Reads an integer grid's name: `int4-g128-asym`, `int8-channel-sym`, `int3-tensor`. Symmetric unless it says `asym`.
 * Undefined when the name is not of this form.
 *
 * @throws CalibrantError `UNSUPPORTED` for a width or group size out of range.
 */
export function parseAffineScheme(name: string): AffineScheme | undefined {
  const match = /^int(\d+)(?:-(tensor|channel|g(\d+)))?(?:-(sym|asym))?$/i.exec(name);
  if (!match) return undefined;
  const bits = Number(match[1]);
  if (bits < 2 || bits > 8)
    throw new CalibrantError('UNSUPPORTED', `Integer grids have 2 to 8 bits, "${name}" asks for ${bits}.`, { option: 'recipe.scheme' });
  const groupSize = match[3] === undefined ? undefined : Number(match[3]);
  if (groupSize === 0)
    throw new CalibrantError('INVALID_ARGUMENT', `The group size in "${name}" must be positive.`, { option: 'recipe.scheme' });
  const granularity = groupSize !== undefined ? 'group' : match[2]?.toLowerCase() === 'tensor' ? 'tensor' : 'channel';
  return {
    kind: 'affine',
    bits: bits as AffineScheme['bits'],
    granularity,
    ...(groupSize === undefined ? {} : { groupSize }),
    symmetric: match[4]?.toLowerCase() !== 'asym',
  };
}

/** The name of an integer grid, the inverse of {@link parseAffineScheme}. */
export function affineSchemeName({ bits, granularity, groupSize, symmetric }: AffineScheme): string {
  return `int${bits}-${granularity === 'group' ? `g${groupSize}` : granularity}-${symmetric ? 'sym' : 'asym'}`;
}
