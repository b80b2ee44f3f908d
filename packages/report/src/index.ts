/**
 * What quantization cost: one HTML file, a model card, JSON, and advice.
 * @module
 */

export type { Advice } from './advice/advice.js';
export { advise } from './advice/advise.js';
export { COMPARISON_HEAD, comparedScores, comparisonRows, comparisonWarnings, renderComparison, runOf } from './compare.js';
export type * from './data.js';
export { renderHtml } from './html/render-html.js';
export { modelCard } from './markdown/model-card.js';
export { channelMagnitudes } from './plots/channel-magnitudes.js';
export { clippingHistogram } from './plots/clipping-histogram.js';
export type { Drawing } from './plots/draw.js';
export { errorHeatMap } from './plots/error-heat-map.js';
export { klDistribution } from './plots/kl-distribution.js';
export { reliabilityDiagram } from './plots/reliability-diagram.js';
export { paretoFront, sizeQualityPlot } from './plots/size-quality.js';
export { parseReport } from './read-report.js';
export type { CalibrationStudy, StudyRun, StudySet } from './study/data.js';
export { type SeedMean, type Sensitivity, type StudyCell, seedMean, sensitivities, studyCells, studyFindings } from './study/figures.js';
export { relativePlots, sensitivityPlots } from './study/model-plots.js';
export { samplePlots, setPlots } from './study/plots.js';
export { renderStudy, STUDY_HEAD, studyRows } from './study/render-study.js';
export { summarize } from './summary.js';
