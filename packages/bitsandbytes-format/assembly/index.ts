/** First free address: operands are laid out from here on. */
export function heapBase(): usize {
  return __heap_base;
}

export { decodeFP4, decodeNF4, encodeFP4, encodeNF4 } from './four-bit';
export { decodeInt8, encodeInt8 } from './int8-rows';
