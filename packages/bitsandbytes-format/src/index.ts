/**
 * Checkpoints of bitsandbytes: the grids NF4, FP4 and LLM.int8(), and the folders that transformers and vLLM load.
 * @module
 */

export { bitsandbytesFormat } from './format.js';
export type { BitsandbytesFormatOptions } from './options.js';
export { bitsandbytesSchemes } from './schemes.js';
