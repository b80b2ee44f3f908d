export * from './floats';
export { packQ4_0, packQ5_0, packQ8_0 } from './integers';
export { decodeIQ1_M, encodeIQ1_M } from './iq1-m';
export { decodeIQ1_S, encodeIQ1_S } from './iq1-s';
export { decodeIQ2_S, encodeIQ2_S } from './iq2-s';
export { decodeIQ2_XS, encodeIQ2_XS } from './iq2-xs';
export { decodeIQ2_XXS, encodeIQ2_XXS } from './iq2-xxs';
export { decodeIQ3_S, encodeIQ3_S } from './iq3-s';
export { decodeIQ3_XXS, encodeIQ3_XXS } from './iq3-xxs';
export { decodeIQ4_NL, encodeIQ4_NL } from './iq4-nl';
export { decodeIQ4_XS, encodeIQ4_XS } from './iq4-xs';
export { decodeMXFP4, encodeMXFP4 } from './mxfp4';
export { decodeNVFP4, encodeNVFP4 } from './nvfp4';
export { decodeQ1_0, encodeQ1_0 } from './q1-0';
export { decodeQ2_0, encodeQ2_0 } from './q2-0';
export { decodeQ2_K, encodeQ2_K } from './q2-k';
export { decodeQ3_K, encodeQ3_K } from './q3-k';
export { decodeQ4_0, encodeQ4_0 } from './q4-0';
export { decodeQ4_1, encodeQ4_1 } from './q4-1';
export { decodeQ4_K, encodeQ4_K } from './q4-k';
export { decodeQ5_0, encodeQ5_0 } from './q5-0';
export { decodeQ5_1, encodeQ5_1 } from './q5-1';
export { decodeQ5_K, encodeQ5_K } from './q5-k';
export { decodeQ6_K, encodeQ6_K } from './q6-k';
export { decodeQ8_0, encodeQ8_0 } from './q8-0';
export * from './refined';
export { decodeTQ1_0, encodeTQ1_0 } from './tq1-0';
export { decodeTQ2_0, encodeTQ2_0 } from './tq2-0';

/** First free address: operands are laid out from here on. */
export function heapBase(): usize {
  return __heap_base;
}
