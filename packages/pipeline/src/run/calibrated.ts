import {
  type Backend,
  type BoundCalibrator,
  type BufferHandle,
  decodeTensor,
  type FormatWriter,
  type Observations,
  type PlannedTensor,
  type Quantizer,
  type RunOptions,
  throwIfAborted,
} from '@calibrant/core';
import type { BlockStage, Stage, Transformer, TransformerBlock } from '@calibrant/transformer';
import type { MethodOptions } from '../plan/method-options.js';
import type { ModelStatistics } from '../statistics/statistics-file.js';
import { collectHessians } from './collect-hessians.js';
import { expertInputs, expertValues, type FullPrecision } from './full-precision.js';
import type { HiddenStates } from './hidden-states.js';
import { inOutputRows, quantizeLinear } from './quantize-linear.js';
import { savedObservations } from './saved-observations.js';

export type LayerFacts = Readonly<Record<string, number | string | boolean>>;

export interface CalibratedInput extends RunOptions {
  readonly transformer: Transformer;
  readonly sequences: readonly Int32Array[];
  readonly quantizer: Quantizer;
  readonly options: MethodOptions;
  /** Chooses the ranges of integer grids. */
  readonly calibrator?: BoundCalibrator | undefined;
  /** The planned tensors whose codes the quantizer chooses, by the source's name. */
  readonly targets: ReadonlyMap<string, PlannedTensor>;
  readonly plan: readonly PlannedTensor[];
  /** Saved statistics that take the place of all observation. */
  readonly served?: ModelStatistics | undefined;
  readonly writer: FormatWriter;
  readonly backend: Backend;
}

/**
 * Quantizes the linears of one block on the hidden states that reach it, with `trueSequential` each on what the quantized linears before it in the block produce. Afterwards
 * `weights` holds the quantized weights. Those of `full` stay.
 */
export async function quantizeBlock(
  input: CalibratedInput,
  block: TransformerBlock,
  weights: Map<string, BufferHandle>,
  hidden: HiddenStates | undefined,
  full: FullPrecision | undefined,
  onDone: (name: string, facts: LayerFacts) => void,
): Promise<void> {
  const { targets, signal } = input;
  const stages = block.stages
    .map((stage) => ({ ...stage, linears: stage.linears.filter(({ name }) => targets.has(name)) }))
    .filter(({ linears }) => linears.length > 0);
  for (const set of trueSequential(input.options.common) ? independentSets(stages) : [stages]) {
    throwIfAborted(signal);
    await quantizeStages(input, block, set, weights, hidden, full, onDone);
  }
}

/** Quantizes the linears of some stages, all on what the block as it is now shows them, and puts the quantized weights in its place. */
async function quantizeStages(
  input: CalibratedInput,
  block: TransformerBlock,
  stages: readonly Stage[],
  weights: Map<string, BufferHandle>,
  hidden: HiddenStates | undefined,
  full: FullPrecision | undefined,
  onDone: (name: string, facts: LayerFacts) => void,
): Promise<void> {
  if (stages.length === 0) return;
  const { backend, quantizer, options, targets, writer } = input;
  const observations = await observationsOf(input, block, stages, weights, hidden, full);
  try {
    for (const { point, linears } of stages)
      for (const { name } of linears) {
        const planned = targets.get(name) as PlannedTensor;
        const weight = weights.get(name) as BufferHandle;
        const { tensor, facts = {} } = await quantizeLinear(
          quantizer,
          options.of(planned),
          planned,
          weight,
          observations.get(point),
          backend,
          input,
        );
        await writer.write(planned, { rowStart: 0, value: inOutputRows(tensor, planned) });
        weights.set(name, await decodeTensor(tensor, backend));
        if (weight !== full?.weights.get(name)) backend.free(weight);
        onDone(name, facts);
      }
  } finally {
    for (const { hessian, deviation } of observations.values()) backend.free(hessian, deviation);
  }
}

/** What the layers of some stages see: the block as it is now on the hidden states, or what was saved. */
function observationsOf(
  { backend, options, transformer, sequences, served, signal }: CalibratedInput,
  block: TransformerBlock,
  stages: readonly Stage[],
  weights: ReadonlyMap<string, BufferHandle>,
  hidden: HiddenStates | undefined,
  full: FullPrecision | undefined,
): Promise<Map<string, Observations>> {
  const steps = transformer.description.blocks[block.index];
  const experts = expertInputs(steps);
  if (served?.hessians) return savedObservations(served.hessians, served, stages, experts, backend);
  if (!hidden) throw new TypeError('There are neither hidden states nor saved Hessians to calibrate on.');
  const allTokens = calibrateAllExperts(options.common);
  return collectHessians({
    backend,
    block,
    stages,
    weights,
    hidden,
    tokens: sequences.reduce((sum, ids) => sum + ids.length, 0),
    allTokens,
    experts,
    full: full && { ...full, without: allTokens ? new Set() : expertValues(steps) },
    signal,
  });
}

/** Neighbouring stages that do not depend on one another, such as the experts of a mixture, are observed in one pass. */
function independentSets(stages: readonly BlockStage[]): BlockStage[][] {
  const sets: BlockStage[][] = [];
  for (const stage of stages) {
    const last = sets.at(-1);
    if (last && last[0].group === stage.group) last.push(stage);
    else sets.push([stage]);
  }
  return sets;
}

/** Quantizers that can work either way say so by an option of this name. */
export function trueSequential(options: unknown): boolean {
  return (options as { trueSequential?: boolean } | undefined)?.trueSequential ?? true;
}

/** The same of experts that see all calibration tokens. */
export function calibrateAllExperts(options: unknown): boolean {
  return (options as { calibrateAllExperts?: boolean } | undefined)?.calibrateAllExperts ?? false;
}
