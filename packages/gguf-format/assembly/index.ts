export * from './floats';
export { decodeQ4_0, encodeQ4_0 } from './q4-0';
export { decodeQ4_K, encodeQ4_K } from './q4-k';
export { decodeQ5_0, encodeQ5_0 } from './q5-0';
export { decodeQ5_K, encodeQ5_K } from './q5-k';
export { decodeQ6_K, encodeQ6_K } from './q6-k';
export { decodeQ8_0, encodeQ8_0 } from './q8-0';

/** First free address: operands are laid out from here on. */
export function heapBase(): usize {
  return __heap_base;
}
