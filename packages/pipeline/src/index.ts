/**
 * Runs a recipe: what the command line, a program and a worker call.
 * @module
 */
export type { Evaluation, ModelIdentity, Provenance } from '@calibrant/eval';
export type { TargetReport } from './allocate/target-plan.js';
export { type ConvertedTensorReport, type ConvertOptions, type ConvertResult, convertModel } from './convert.js';
export { type EvaluateOptions, type EvaluationOnText, evaluateModel } from './evaluate/evaluate-model.js';
export type { DriftRequest } from './evaluate/run-drift.js';
export type { NeedleRequest } from './evaluate/run-needle.js';
export type { ExecutionNames } from './execution/named-plan.js';
export {
  describeImportanceMatrix,
  type ImportanceDescription,
  type ImportanceOptions,
  type ImportanceResult,
  makeImportanceMatrix,
} from './importance-matrix.js';
export { inspectModel, type ModelInspection } from './inspect.js';
export { type OpenModelOptions, openModel } from './open-model.js';
export { analyzeOutliers, type OutlierOptions, type OutlierResult } from './outliers/analyze.js';
export { type InjectionOptions, type InjectionResult, injectOutliers } from './outliers/inject.js';
export type { Injection } from './outliers/plan-injection.js';
export { findPreset, PRESETS, type Preset } from './presets.js';
export { type QuantizeOptions, quantizeModel } from './quantize.js';
export type { QuantizedTensorReport, QuantizeResult } from './quantize-result.js';
export { makeReport, type ReportOptions } from './report/make-report.js';
export { type MeasuredLayer, type MeasuredLayers, type MeasureLayersInput, measureLayers } from './report/measure-layers.js';
export { type CheckOptions, type CheckResult, checkModel, servingWarnings } from './serving/check-serving.js';
export { openStatistics } from './statistics/check-statistics.js';
export { type InputSummary, makeStatistics, type StatisticsOptions, type StatisticsResult } from './statistics/make-statistics.js';
export { withStaticInputs } from './statistics/static-plan.js';
export { type ModelStatistics, readStatistics, writeStatistics } from './statistics/statistics-file.js';
export type { NamedRecipe } from './study/method-recipe.js';
export { type StudyOptions, studyCalibration } from './study/study-calibration.js';
export type { TransformReport } from './transform/plan-transforms.js';
