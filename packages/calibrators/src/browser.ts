/**
 * What works without a file system: calibration sets of texts in memory and of text that the model writes, and importance matrices.
 * @module
 */

export type {
  CalibrationMessage,
  CalibrationSet,
  CalibrationSize,
  CalibrationTokenizer,
  PackingMode,
  TextGenerator,
} from './calibration-set.js';
export { compareTokens, comparisonWarning, type TokenComparison } from './compare-tokens.js';
export { decodeText, readJsonLines } from './decode-text.js';
export { calibrationSetFromModel } from './from-model.js';
export { calibrationSetFromRandom } from './from-random.js';
export { type CalibrationDocument, calibrationSetFromText } from './from-text.js';
export { createImportanceCollector, type ImportanceCollector } from './importance/collect.js';
export { countsPerExpert, importanceColumns, importanceGaps, meanImportance, mergeImportance } from './importance/matrix.js';
export { type ImportanceStatistics, importanceStatistics } from './importance/statistics.js';
export { sumSquares } from './importance/sum-squares.js';
export { weightedError } from './importance/weighted-error.js';
export { createInputCollector, type InputCollector } from './inputs/collect.js';
export {
  emptyStatistics,
  type InputStatistics,
  mergeStatistics,
  statisticsFromTensors,
  statisticsTensors,
} from './inputs/input-statistics.js';
export { calibrators, entropy, minMax, movingAverage, mse, percentile } from './ranges/index.js';
export { cutWindows } from './windows.js';
