import { CalibrantError } from '@calibrant/core';
import { z } from 'zod';
import type { GgufValue } from '../file/metadata.js';

const RANGES = {
  u8: [0, 0xff],
  i8: [-0x80, 0x7f],
  u16: [0, 0xffff],
  i16: [-0x8000, 0x7fff],
  u32: [0, 0xffffffff],
  i32: [-0x80000000, 0x7fffffff],
  u64: [0, Number.MAX_SAFE_INTEGER],
  i64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
} as const;

type IntegerType = keyof typeof RANGES;

const isInteger = (type: string): type is IntegerType => Object.hasOwn(RANGES, type);

const override = z.strictObject({
  type: z.enum(['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'u64', 'i64', 'f32', 'f64', 'bool', 'string']),
  value: z.union([z.number(), z.boolean(), z.string()]),
});

/** Keys of a file's metadata to add or replace, with their types. */
export const metadataSchema = z
  .record(z.string().regex(/^[a-z0-9_.-]+$/i, 'must be letters, digits, dots, - and _'), override)
  .default({})
  .describe('Keys to add to the metadata or to replace: {"general.license": {"type": "string", "value": "mit"}}');

/** Keys that say how the file itself is laid out: other values would make it unreadable. */
const LAYOUT_KEYS = /^(general\.(alignment|architecture)|split\..*)$/;

/** @throws CalibrantError `INVALID_RECIPE` for a value that its type does not hold, and for keys of the file's layout. */
export function metadataOverrides(overrides: z.output<typeof metadataSchema>): [string, GgufValue][] {
  return Object.entries(overrides).map(([key, { type, value }]) => {
    const wrong = (message: string) =>
      new CalibrantError('INVALID_RECIPE', `The metadata "${key}" ${message}.`, { option: `recipe.format.options.metadata.${key}` });
    if (LAYOUT_KEYS.test(key)) throw wrong('says how the file is laid out and cannot be set');
    const kind = type === 'bool' ? 'boolean' : type === 'string' ? 'string' : 'number';
    if (typeof value !== kind) throw wrong(`must be a ${kind} for the type ${type}, found ${JSON.stringify(value)}`);
    if (!isInteger(type)) return [key, { type, value }];
    const [least, most] = RANGES[type];
    if (!Number.isInteger(value) || Number(value) < least || Number(value) > most)
      throw wrong(`must be a whole number from ${least} to ${most} for the type ${type}, found ${value}`);
    return [key, { type, value: type === 'u64' || type === 'i64' ? BigInt(Number(value)) : value }];
  });
}
