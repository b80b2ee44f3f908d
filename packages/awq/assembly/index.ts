export { clampRows } from './clamp-rows';
export { relativeMagnitudes } from './relative-magnitudes';
export { groupGrams, searchClip } from './search-clip';

/** First free address: operands are laid out from here on. */
export function heapBase(): usize {
  return __heap_base;
}
