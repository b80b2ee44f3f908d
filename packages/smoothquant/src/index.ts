/**
 * SmoothQuant: moves the outliers of activations into the weights, so that both can be rounded to 8 bits.
 * @module
 */

export { defaultAlpha } from './default-alpha.js';
export { smoothingFactors } from './smoothing-factors.js';
export { type SmoothQuantOptions, smoothquant } from './smoothquant.js';
