/**
 * Outliers of weights and activations: how they are found, what they mean, and what a transform did to them.
 * @module
 */

export { activationFigures, type FigureOptions } from './activations/activation-figures.js';
export { type ActivationCollector, type ActivationTotals, createActivationCollector } from './activations/collector.js';
export { type DimensionCounts, outlierDimensions } from './activations/outlier-dimensions.js';
export { createPeakCollector, type PeakCollector } from './activations/peaks.js';
export {
  type Change,
  type ChannelChange,
  compareReports,
  type InputChange,
  type OutlierComparison,
  type WeightChange,
} from './compare-reports.js';
export { DEFAULT_CRITERIA, outlierCriteria } from './criteria.js';
export { byteCounts } from './kernels/byte-counts.js';
export { channelStatistics } from './kernels/channel-statistics.js';
export { columnBins } from './kernels/column-bins.js';
export { MAGNITUDES, magnitudeCounts, magnitudeOf } from './kernels/magnitude-counts.js';
export { rowMedians } from './kernels/row-medians.js';
export { PEAKS, rowPeaks } from './kernels/row-peaks.js';
export { rowStatistics } from './kernels/row-statistics.js';
export { scaleChannels } from './kernels/scale-channels.js';
export { valueCounts } from './kernels/value-counts.js';
export { magnitudeHistogram, magnitudeQuantile } from './magnitudes.js';
export { massiveFigures } from './massive-figures.js';
export { deviation, excessKurtosis, type Moments, mergeMoments, momentsOfRows } from './moments.js';
export type * from './report-types.js';
export { granularityName, meanEntropy, summarize } from './summarize.js';
export { analyzeWeight, type WeightOptions } from './weights/analyze-weight.js';
export type { Grid } from './weights/code-counts.js';
export type { WeightSource } from './weights/weight-source.js';
