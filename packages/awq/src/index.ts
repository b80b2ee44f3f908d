/**
 * AWQ: scales up the channels of weights that large activations meet before they are rounded, and clips groups of weights.
 * @module
 */

export { awq } from './awq.js';
export { clampRows } from './clamp-rows.js';
export { type ClippedRows, clipRows } from './clip-rows.js';
export { type AwqOptions, awqSchema, type ResolvedAwqOptions } from './options.js';
export { relativeMagnitudes } from './relative-magnitudes.js';
export { scalingFactors } from './scaling-factors.js';
export { groupGrams, type SearchClipAttributes, searchClip } from './search-clip.js';
