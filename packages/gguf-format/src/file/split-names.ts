import { value } from './metadata.js';

/** Keys of each part of a split model, as llama.cpp's gguf-split writes them. */
export const SPLIT_NO = 'split.no';
export const SPLIT_COUNT = 'split.count';
export const SPLIT_TENSORS = 'split.tensors.count';
export const SPLIT_KEYS: readonly string[] = [SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS];

/** Parts are counted by a u16. */
export const MOST_PARTS = 65535;

const PART_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/s;

/** `prefix-00001-of-00003.gguf` for the part with index 0 of 3. */
export function partName(prefix: string, index: number, count: number): string {
  const digits = (of: number) => String(of).padStart(5, '0');
  return `${prefix}-${digits(index + 1)}-of-${digits(count)}.gguf`;
}

/** The pieces of a part's name, with `index` counted from 0; undefined for other names. */
export function parsePartName(name: string): { readonly prefix: string; readonly index: number; readonly count: number } | undefined {
  const match = PART_NAME.exec(name);
  return match ? { prefix: match[1], index: Number(match[2]) - 1, count: Number(match[3]) } : undefined;
}

/** The keys of one part. */
export function splitKeys(index: number, count: number, tensors: number) {
  return new Map([
    [SPLIT_NO, value.u16(index)],
    [SPLIT_COUNT, value.u16(count)],
    [SPLIT_TENSORS, value.i32(tensors)],
  ]);
}
