import {
  type BoundCalibrator,
  type BufferHandle,
  CalibrantError,
  type ExecutionPlan,
  fakeQuantizeWeight,
  type ImportanceMatrix,
  type PlannedTensor,
  type Recipe,
  type Tensor,
  type TensorScheme,
  type TransformFacts,
} from '@calibrant/core';
import { type TransformerBlock, type WeightRef, weightsOf } from '@calibrant/transformer';
import {
  type BlockStatistics,
  createRangeCollector,
  type FoundGrids,
  needsRanges,
  type RangeCollector,
  writeStaticGrids,
} from '../execution/static-ranges.js';
import type { Standing } from '../journal/journal.js';
import { peaksOfBlock, statisticsOfBlock } from '../statistics/reuse.js';
import type { ModelStatistics } from '../statistics/statistics-file.js';
import { overlayCheckpoint, storedValues } from '../transform/overlay-checkpoint.js';
import type { PlannedTransform } from '../transform/plan-transforms.js';
import { scaledImportance } from '../transform/scaled-importance.js';
import { plannedGrids } from '../transform/scaling-sites.js';
import { transformBlock } from '../transform/transform-block.js';
import { type CalibratedInput, calibrateAllExperts, type LayerFacts, quantizeBlock } from './calibrated.js';
import type { FullPrecision } from './full-precision.js';
import { createHiddenStates, embedSequences, type HiddenStates } from './hidden-states.js';
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
  /** Saved statistics that take the place of all observation: no sequence runs. */
  readonly served?: ModelStatistics | undefined;
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
  const { transformer, sequences, backend, targets, rest, plan, transforms, propagate, execution, served, earlier, onEvent, signal } =
    input;
  const { blocks } = transformer.description;
  const grids = plannedGrids(plan, execution);
  const result = earlier?.result ?? nothingYet(transforms.length);
  const { layers, transforms: facts, grids: found } = result;
  const statesOf = async (set: number) =>
    createHiddenStates(backend, [...(earlier?.states[set] ?? (await embedSequences(transformer, sequences, signal)))]);
  const hidden = sequences.length > 0 ? await statesOf(0) : undefined;
  const wantsFull = [...targets.values()].some((planned) => input.quantizer.alsoNeeds?.(input.options.of(planned)).includes('deviation'));
  const fullStates = hidden && wantsFull ? await statesOf(1) : undefined;
  const head = targets.get(transformer.description.head.weight.name);
  const lengths = sequences.map(({ length }) => length);
  const total = targets.size + [...rest.values()].reduce((sum, { length }) => sum + length, 0);
  let done = earlier?.tensors ?? 0;
  const report = (item: string, finished = 0) => {
    done += finished;
    onEvent?.({ phase: 'Quantizing', done, total, unit: 'tensors', item });
  };
  onEvent?.({ phase: 'Quantizing', done, total, unit: 'tensors' });
  const saveGrids = (block: TransformerBlock, statistics: BlockStatistics) =>
    writeStaticGrids(execution as ExecutionPlan, block, statistics, input.activationCalibrator, input.writer, found);

  for (let index = earlier?.blocks ?? 0; index < blocks.length; index++) {
    const block = transformer.block(index);
    const weights = await block.load();
    let full: FullPrecision | undefined;
    try {
      if (transforms.length > 0)
        report(`${transforms.map(({ transform }) => transform.name).join(', ')}, block ${index + 1} of ${blocks.length}`);
      const before = new Map(weights);
      const keepOutputs = propagate === 'full' && transforms.length > 0;
      const transformed = await transformBlock(
        { ...input, grids, lengths, ...(served ? { peaks: peaksOfBlock(served, block, transforms) } : {}) },
        block,
        weights,
        hidden,
        keepOutputs,
      );
      for (const [i, ofBlock] of transformed.facts.entries()) facts[i].push(...ofBlock);
      const changed = changedWeights(weightsOf(blocks[index]), before, weights);
      const checkpoint = overlayCheckpoint(transformer.checkpoint, await storedValues(transformer, changed));
      full = fullStates && { weights: new Map(weights), hidden: fullStates, allTokens: calibrateAllExperts(input.options.common) };
      const advance = index < blocks.length - 1 || head !== undefined;
      const quantizesHere = block.stages.some(({ linears }) => linears.some(({ name }) => targets.has(name)));
      const wantsOutputs = propagate === 'full' && advance && quantizesHere && !transformed.outputs;
      const outputs = hidden && wantsOutputs ? await outputsOf(block, weights, hidden, signal) : transformed.outputs;
      if (hidden)
        await quantizeBlock(input, block, weights, hidden, full, (name, layerFacts) => {
          layers.set(name, layerFacts);
          report(name, 1);
        });
      const others = rest.get(index) ?? [];
      const importance = input.importance && scaledImportance(input.importance, others, transformed.factors);
      await input.writeRest(others, checkpoint, importance, (name, layerFacts) => {
        if (layerFacts) layers.set(name, layerFacts);
        report(name, 1);
      });
      const wantsRanges = execution && needsRanges(execution, block);
      if (wantsRanges && served) await saveGrids(block, statisticsOfBlock(served, index));
      if (!hidden) continue;
      const ranges = wantsRanges ? createRangeCollector(backend, block) : undefined;
      if (full && advance) await observe(block, full.weights, full.hidden, undefined, true, signal);
      if (outputs) {
        if (ranges) await observe(block, weights, hidden, ranges, false, signal);
        hidden.replace(outputs);
      } else if (advance || ranges) {
        if (propagate === 'quantized') await roundWeights(block, weights, grids.schemes, input, full);
        await observe(block, weights, hidden, ranges, advance, signal);
      }
      if (ranges) await saveGrids(block, await ranges.finish());
      if (advance) checkStates(hidden, index, lengths);
    } finally {
      for (const [name, handle] of full?.weights ?? []) if (weights.get(name) !== handle) backend.free(handle);
      block.release(weights);
    }
    await input.onStanding?.({
      blocks: index + 1,
      tensors: done,
      result,
      states: [hidden, fullStates].flatMap((set) => (set ? [set.states] : [])),
    });
  }
  if (head && hidden) {
    const { name } = transformer.description.head.weight;
    report(name);
    layers.set(name, await quantizeHead(input, head, hidden, fullStates));
    report(name, 1);
  }
  warnOfZero(result.grids, onEvent);
  return result;
}

/** Before the first block. */
export function nothingYet(transforms: number): BlocksResult {
  return {
    layers: new Map(),
    transforms: Array.from({ length: transforms }, () => []),
    grids: { activations: new Map(), keyValueCache: new Map(), zero: [] },
  };
}

/** @throws CalibrantError `NON_FINITE` when a block made NaN or infinite values: nothing can be learnt of them, and the model says nothing either. */
function checkStates(hidden: HiddenStates, block: number, lengths: readonly number[]): void {
  const bad = hidden.tokensNotFinite();
  if (bad === 0) return;
  const all = lengths.reduce((sum, length) => sum + length, 0);
  throw new CalibrantError(
    'NON_FINITE',
    `Block ${block} makes NaN or infinite values for ${bad} of the ${all} calibration tokens, so that no later layer can be calibrated. Its activations overflow: check its weights (norms first) in the checkpoint, the download, or the training run that wrote it.`,
    { tensor: `block ${block}` },
  );
}

function warnOfZero({ zero }: FoundGrids, onEvent: BlocksInput['onEvent']): void {
  if (zero.length === 0) return;
  onEvent?.({
    warning: `${zero.length} values are 0 on every calibration token, such as ${zero[0]}: nothing says how far they reach on other text, and their static scale is 1. Use text that reaches them, a dynamic grid such as int8-token, or keepActivations.`,
    item: 'calibration',
  });
}

/** Runs the block on the hidden states, watched by a collector of ranges; with `advance` its outputs take the states' places. */
async function observe(
  block: TransformerBlock,
  weights: ReadonlyMap<string, BufferHandle>,
  hidden: HiddenStates,
  ranges: RangeCollector | undefined,
  advance: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  await hidden.pass(async (state) => {
    const output = await block.forward(state, weights, ranges ?? {});
    await ranges?.settle();
    if (advance) return output;
    block.release(new Map([['output', output]]));
    return undefined;
  }, signal);
}

/** What a block gives under its weights as they are, in host memory; the states stay where they are. */
async function outputsOf(
  block: TransformerBlock,
  weights: ReadonlyMap<string, BufferHandle>,
  hidden: HiddenStates,
  signal: AbortSignal | undefined,
): Promise<Tensor[]> {
  const before = [...hidden.states];
  await observe(block, weights, hidden, undefined, true, signal);
  const outputs = [...hidden.states];
  hidden.replace(before);
  return outputs;
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

/** Rounds the linear layers that were written without calibration, so that the next block sees what they became. */
async function roundWeights(
  { stages }: TransformerBlock,
  weights: Map<string, BufferHandle>,
  schemes: ReadonlyMap<string, TensorScheme>,
  { backend, targets, transforms }: BlocksInput,
  full: FullPrecision | undefined,
): Promise<void> {
  if (transforms.length === 0) return;
  for (const { linears } of stages)
    for (const { name } of linears) {
      const scheme = schemes.get(name);
      const weight = weights.get(name);
      if (!weight || !scheme || scheme.kind === 'float' || targets.has(name)) continue;
      weights.set(name, await fakeQuantizeWeight(backend, weight, scheme));
      if (weight !== full?.weights.get(name)) backend.free(weight);
    }
}
