/**
 * The GPTQ checkpoint format: safetensors folders with `qweight`, `qzeros`, `scales` and `g_idx`, written and read.
 * @module
 */

export { gptqFormat } from './format.js';
export type { GptqFormatOptions } from './options.js';
