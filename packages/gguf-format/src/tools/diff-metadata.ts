import type { GgufMetadata, GgufValue } from '../file/metadata.js';
import { abbreviated, type DumpedKey } from './dump.js';

type Shown = Omit<DumpedKey, 'key'>;

/** A key that is in one model only, or has another type or value. */
export interface MetadataDifference {
  readonly key: string;
  readonly a?: Shown;
  readonly b?: Shown;
  /** Of two arrays of one length: how many elements differ, and the first that does. */
  readonly elements?: { readonly count: number; readonly first: number };
}

/** The keys that differ, those of `a` first; their order makes no difference. */
export function diffMetadata(a: GgufMetadata, b: GgufMetadata): MetadataDifference[] {
  const differences: MetadataDifference[] = [];
  for (const [key, first] of a) {
    const second = b.get(key);
    if (!second) differences.push({ key, a: abbreviated(first) });
    else if (!sameValue(first, second))
      differences.push({ key, a: abbreviated(first), b: abbreviated(second), ...differingElements(first, second) });
  }
  for (const [key, second] of b) if (!a.has(key)) differences.push({ key, b: abbreviated(second) });
  return differences;
}

function sameValue(a: GgufValue, b: GgufValue): boolean {
  if (a.type !== 'array' || b.type !== 'array') return a.type === b.type && Object.is(a.value, b.value);
  return a.of === b.of && a.value.length === b.value.length && differing(a, b).count === 0;
}

function differingElements(a: GgufValue, b: GgufValue): { elements?: { count: number; first: number } } {
  if (a.type !== 'array' || b.type !== 'array' || a.of !== b.of || a.value.length !== b.value.length) return {};
  return { elements: differing(a, b) };
}

function differing(a: GgufValue & { type: 'array' }, b: GgufValue & { type: 'array' }): { count: number; first: number } {
  let count = 0;
  let first = -1;
  for (let i = 0; i < a.value.length; i++)
    if (!Object.is(a.value[i], b.value[i])) {
      if (count === 0) first = i;
      count++;
    }
  return { count, first };
}
