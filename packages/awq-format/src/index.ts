/**
 * The AWQ checkpoint format (GEMM): safetensors folders with `qweight`, `qzeros` and `scales`, written and read.
 * @module
 */

export { awqFormat } from './format.js';
export type { AwqFormatOptions } from './options.js';
