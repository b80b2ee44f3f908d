/**
 * How good a quantized model is: perplexity, and its distance from the full-precision model.
 * @module
 */

export { type CompareOptions, type Comparison, compare } from './compare.js';
export { klDivergence } from './kernels/kl-divergence.js';
export { negativeLogLikelihood } from './kernels/negative-log-likelihood.js';
export type { LanguageModel } from './language-model.js';
export { type MeasureOptions, measure } from './measure.js';
export { type DivergenceFigures, klDivergenceMetric, sameTopMetric } from './metrics/kl-divergence.js';
export { type PerplexityFigures, type PerplexityMetricOptions, perplexityMetric } from './metrics/perplexity.js';
export { type PerplexityOptions, type PerplexityResult, perplexity } from './perplexity.js';
export { type CutOptions, cutWindows, type TokenWindows } from './token-windows.js';
