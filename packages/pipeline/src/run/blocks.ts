import type {
  BoundCalibrator,
  BufferHandle,
  ExecutionPlan,
  ImportanceMatrix,
  PlannedTensor,
  Recipe,
  TransformFacts,
} from '@calibrant/core';
import { type WeightRef, weightsOf } from '@calibrant/transformer';
import type { FoundGrids } from '../execution/static-ranges.js';
import type { Standing } from '../journal/journal.js';
import { peaksOfBlock } from '../statistics/reuse.js';
import { overlayCheckpoint, storedValues } from '../transform/overlay-checkpoint.js';
import type { PlannedTransform } from '../transform/plan-transforms.js';
import { scaledImportance } from '../transform/scaled-importance.js';
import { plannedGrids } from '../transform/scaling-sites.js';
import { transformBlock } from '../transform/transform-block.js';
import { type CalibratedInput, calibrateAllExperts, type LayerFacts, quantizeBlock } from './calibrated.js';
import type { FullPrecision } from './full-precision.js';
import { createHiddenStates, embedSequences, type HiddenStates } from './hidden-states.js';
import { fullOutputs, moveOn } from './move-on.js';
import { quantizeHead } from './quantize-head.js';
import type { WriteRest } from './write-rest.js';

export interface BlocksInput extends CalibratedInput {
  readonly transforms: readonly PlannedTransform[];
  readonly propagate: NonNullable<Recipe['propagate']>;
  /** The planned tensors of each block that the quantizer does not calibrate, to be written with their block. */
  readonly rest: ReadonlyMap<number, readonly PlannedTensor[]>;
  readonly writeRest: WriteRest;
  readonly importance?: ImportanceMatrix | undefined;
  /** Grids of inputs and caches that the output will ask for. */
  readonly execution?: ExecutionPlan | undefined;
  /** Chooses the ranges of its static grids. */
  readonly activationCalibrator: BoundCalibrator;
  /** Where an earlier run of the same work was stopped. */
  readonly earlier?: Standing | undefined;
  /** Hears after each block where the run stands. */
  readonly onStanding?: ((standing: Standing) => Promise<void>) | undefined;
}

/** What was done, for the report. */
export interface BlocksResult {
  readonly layers: Map<string, LayerFacts>;
  /** By transform. */
  readonly transforms: readonly TransformFacts[][];
  /** Static grids of inputs and caches. */
  readonly grids: FoundGrids;
}

/**
 * Works block by block: load, transform, quantize, write, propagate, release. With a calibration set (any sequences) each block sees what the blocks before it
 * produce, quantized ones or full-precision ones. One block is in memory at a time, and the hidden states; twice the hidden states when full-precision
 * outputs are propagated, or when the quantizer compares with them (then the block's weights, too).
 */
export async function runBlocks(input: BlocksInput): Promise<BlocksResult> {
  const { transformer, sequences, backend, targets, rest, transforms, earlier, onEvent, signal } = input;
  const { blocks, head } = transformer.description;
  const result = earlier?.result ?? nothingYet(transforms.length);
  const statesOf = async (set: number) =>
    createHiddenStates(backend, [...(earlier?.states[set] ?? (await embedSequences(transformer, sequences, signal)))]);
  const hidden = sequences.length > 0 ? await statesOf(0) : undefined;
  const wantsFull = [...targets.values()].some((planned) => input.quantizer.alsoNeeds?.(input.options.of(planned)).includes('deviation'));
  const fullStates = hidden && wantsFull ? await statesOf(1) : undefined;
  const total = targets.size + [...rest.values()].reduce((sum, { length }) => sum + length, 0);
  let tensors = earlier?.tensors ?? 0;
  const report = (item?: string, finished = 0) => {
    tensors += finished;
    if (total > 0) onEvent?.({ phase: 'Quantizing', done: tensors, total, unit: 'tensors', ...(item === undefined ? {} : { item }) });
  };
  report();
  const quantizedHead = targets.get(head.weight.name);
  const run: Run = {
    input,
    grids: plannedGrids(input.plan, input.execution),
    result,
    hidden,
    fullStates,
    lengths: sequences.map(({ length }) => length),
    lastFeedsHead: quantizedHead !== undefined,
    report,
  };
  // Where ranges alone are wanted there is no tensor to count.
  const passed = (done: number) => total === 0 && onEvent?.({ phase: 'Observing inputs', done, total: blocks.length, unit: 'blocks' });
  for (let index = earlier?.blocks ?? 0; index < blocks.length; index++) {
    passed(index);
    await runBlock(run, index);
    if (hidden) {
      const states = [hidden, fullStates].flatMap((set) => (set ? [set.states] : []));
      await input.onStanding?.({ blocks: index + 1, tensors, result, states });
    }
  }
  passed(blocks.length);
  if (quantizedHead && hidden) {
    const { name } = head.weight;
    report(name);
    result.layers.set(name, await quantizeHead(input, quantizedHead, hidden, fullStates));
    report(name, 1);
  }
  warnOfZero(result.grids, onEvent);
  return result;
}

/** What stays from block to block. */
export interface Run {
  readonly input: BlocksInput;
  readonly grids: ReturnType<typeof plannedGrids>;
  readonly result: BlocksResult;
  readonly hidden: HiddenStates | undefined;
  /** Those of the full-precision model, where the quantizer compares with them. */
  readonly fullStates: HiddenStates | undefined;
  /** Tokens of each sequence. */
  readonly lengths: readonly number[];
  /** The output projection is quantized on the last block's outputs. */
  readonly lastFeedsHead: boolean;
  /** Says that a tensor (or something else) is worked on, and how many tensors were finished. */
  readonly report: (item?: string, finished?: number) => void;
}

async function runBlock(run: Run, index: number): Promise<void> {
  const { input, hidden, fullStates, lengths, result, report } = run;
  const { transformer, backend, transforms, served } = input;
  const { blocks } = transformer.description;
  const block = transformer.block(index);
  const weights = await block.load();
  let full: FullPrecision | undefined;
  try {
    if (transforms.length > 0)
      report(`${transforms.map(({ transform }) => transform.name).join(', ')}, block ${index + 1} of ${blocks.length}`);
    const before = new Map(weights);
    const peaks = served ? { peaks: peaksOfBlock(served, block, transforms) } : {};
    const keepOutputs = input.propagate === 'full' && transforms.length > 0;
    const transformed = await transformBlock({ ...input, grids: run.grids, lengths, ...peaks }, block, weights, hidden, keepOutputs);
    for (const [i, ofBlock] of transformed.facts.entries()) result.transforms[i].push(...ofBlock);
    const changed = changedWeights(weightsOf(blocks[index]), before, weights);
    const checkpoint = overlayCheckpoint(transformer.checkpoint, await storedValues(transformer, changed));
    full = fullStates && { weights: new Map(weights), hidden: fullStates, allTokens: calibrateAllExperts(input.options.common) };
    const outputs = transformed.outputs ?? (await fullOutputs(run, block, weights));
    const done = (name: string, facts?: LayerFacts) => {
      if (facts) result.layers.set(name, facts);
      report(name, 1);
    };
    if (hidden || served?.hessians) await quantizeBlock(input, block, weights, hidden, full, done);
    const others = input.rest.get(index) ?? [];
    const importance = input.importance && scaledImportance(input.importance, others, transformed.factors);
    await input.writeRest(others, checkpoint, importance, done);
    await moveOn(run, block, weights, full, outputs);
  } finally {
    for (const [name, handle] of full?.weights ?? []) if (weights.get(name) !== handle) backend.free(handle);
    block.release(weights);
  }
}

/** Before the first block. */
export function nothingYet(transforms: number): BlocksResult {
  return {
    layers: new Map(),
    transforms: Array.from({ length: transforms }, () => []),
    grids: { activations: new Map(), keyValueCache: new Map(), zero: [] },
  };
}

function warnOfZero({ zero }: FoundGrids, onEvent: BlocksInput['onEvent']): void {
  if (zero.length === 0) return;
  onEvent?.({
    warning: `${zero.length} values are 0 on every calibration token, such as ${zero[0]}: nothing says how far they reach on other text, and their static scale is 1. Use text that reaches them, a dynamic grid such as int8-token, or keepActivations.`,
    item: 'calibration',
  });
}

function changedWeights(
  refs: readonly WeightRef[],
  before: ReadonlyMap<string, BufferHandle>,
  now: ReadonlyMap<string, BufferHandle>,
): Map<WeightRef, BufferHandle> {
  return new Map(
    refs.flatMap((ref) => {
      const handle = now.get(ref.name);
      return handle && handle !== before.get(ref.name) ? [[ref, handle] as const] : [];
    }),
  );
}
