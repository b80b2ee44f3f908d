import path from 'node:path';
import type { Checkpoint, ImportanceOrigin, PlannedTensor, Recipe } from '@calibrant/core';
import type { TargetReport } from './allocate/target-plan.js';
import type { ExecutionReport } from './execution/recipe-plan.js';
import { plannedBytes, schemeLabel } from './plan/planned-bytes.js';
import type { LayerFacts } from './run/calibrated.js';
import type { CalibrationSummary } from './run/calibration.js';
import type { TransformReport } from './transform/plan-transforms.js';

export interface QuantizedTensorReport {
  readonly name: string;
  readonly scheme: string;
  readonly shape: readonly number[];
  /** Planned bytes. */
  readonly bytes: number;
  /** What the quantizer says of the layer. */
  readonly facts?: LayerFacts;
}

export interface QuantizeResult {
  readonly model: string;
  readonly out: string;
  readonly dryRun: boolean;
  readonly recipe: Recipe;
  /** Paths of the model's files. */
  readonly files: readonly string[];
  readonly parameters: number;
  /** Bytes of the model's files; of tensor data in a dry run. */
  readonly bytes: number;
  /** Over all tensors, those kept in floating point included. */
  readonly bitsPerWeight: number;
  readonly sourceBytes: number;
  readonly sourceBitsPerWeight: number;
  readonly tensors: readonly QuantizedTensorReport[];
  readonly calibration?: CalibrationSummary;
  /** What each transform of the recipe did. */
  readonly transforms?: readonly TransformReport[];
  /** The importance matrix that weighed the errors. */
  readonly importance?: ImportanceOrigin;
  /** How the output asks to be run. */
  readonly execution?: ExecutionReport;
  /** How types were chosen for a target size. */
  readonly target?: TargetReport;
  readonly seconds: number;
}

/** What is known of a run before anything is computed. */
export function summarize(
  { model, out, dryRun }: { readonly model: string; readonly out: string; readonly dryRun?: boolean },
  recipe: Recipe,
  plan: readonly PlannedTensor[],
  checkpoint: Checkpoint,
): Omit<QuantizeResult, 'seconds'> {
  const tensors = plan.map((tensor) => ({
    name: tensor.name,
    scheme: schemeLabel(tensor.scheme),
    shape: tensor.shape,
    bytes: plannedBytes(tensor),
  }));
  const parameters = plan.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
  const source = [...checkpoint.tensors.values()];
  const sourceBytes = source.reduce((sum, tensor) => sum + tensor.bytes, 0);
  const sourceParameters = source.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return {
    model,
    out,
    dryRun: dryRun ?? false,
    recipe,
    files: [],
    parameters,
    bytes,
    bitsPerWeight: (8 * bytes) / parameters,
    sourceBytes,
    sourceBitsPerWeight: (8 * sourceBytes) / sourceParameters,
    tensors,
  };
}

/** A tensor's report with what the quantizer said of it. */
export function withFacts(
  report: QuantizedTensorReport,
  plan: readonly PlannedTensor[],
  facts: ReadonlyMap<string, LayerFacts>,
): QuantizedTensorReport {
  const source = plan.find(({ name }) => name === report.name)?.source;
  const found = source === undefined ? undefined : facts.get(source);
  return found ? { ...report, facts: found } : report;
}

/** What is saved with the model: the recipe and what was done, without paths of this machine. */
export function provenance({ model, out: _out, files, dryRun: _dryRun, seconds: _seconds, ...rest }: QuantizeResult) {
  return { madeBy: 'calibrant', source: path.basename(model), files: files.map((file) => path.basename(file)), ...rest };
}
