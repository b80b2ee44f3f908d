/**
 * The compressed-tensors format: pack-quantized safetensors folders, written and read.
 * @module
 */

export { compressedTensors } from './format.js';
export type { CompressedTensorsOptions } from './options.js';
