import { type BufferHandle, CalibrantError, type ExecutionPlan, fakeQuantizeWeight, type Tensor, type TensorScheme } from '@calibrant/core';
import type { TransformerBlock } from '@calibrant/transformer';
import {
  type BlockStatistics,
  createRangeCollector,
  needsRanges,
  type RangeCollector,
  writeStaticGrids,
} from '../execution/static-ranges.js';
import { statisticsOfBlock } from '../statistics/reuse.js';
import type { BlocksInput, Run } from './blocks.js';
import type { FullPrecision } from './full-precision.js';
import type { HiddenStates } from './hidden-states.js';

/** Whether anything reads the outputs of a block. */
function advances({ input, lastFeedsHead }: Run, { index }: TransformerBlock): boolean {
  return index < input.transformer.description.blocks.length - 1 || lastFeedsHead;
}

/** The outputs of a block before it is quantized, where they are what the next one is calibrated on. */
export async function fullOutputs(
  run: Run,
  block: TransformerBlock,
  weights: ReadonlyMap<string, BufferHandle>,
): Promise<readonly Tensor[] | undefined> {
  const { input, hidden } = run;
  const quantizesHere = block.stages.some(({ linears }) => linears.some(({ name }) => input.targets.has(name)));
  if (!hidden || input.propagate !== 'full' || !advances(run, block) || !quantizesHere) return undefined;
  return outputsOf(block, weights, hidden, input.signal);
}

/** Takes the hidden states behind a block, and what is found on the way: the ranges of static grids. */
export async function moveOn(
  run: Run,
  block: TransformerBlock,
  weights: Map<string, BufferHandle>,
  full: FullPrecision | undefined,
  outputs: readonly Tensor[] | undefined,
): Promise<void> {
  const { input, hidden, grids, result, lengths } = run;
  const { execution, served, backend, signal } = input;
  const saveGrids = (statistics: BlockStatistics) =>
    writeStaticGrids(execution as ExecutionPlan, block, statistics, input.activationCalibrator, input.writer, result.grids);
  const wantsRanges = execution && needsRanges(execution, block);
  if (wantsRanges && served) await saveGrids(statisticsOfBlock(served, block.index));
  if (!hidden) return;
  const ranges = wantsRanges ? createRangeCollector(backend, block) : undefined;
  const advance = advances(run, block);
  if (full && advance) await observe(block, full.weights, full.hidden, undefined, true, signal);
  if (outputs) {
    if (ranges) await observe(block, weights, hidden, ranges, false, signal);
    hidden.replace(outputs);
  } else if (advance || ranges) {
    if (input.propagate === 'quantized') await roundWeights(block, weights, grids.schemes, input, full);
    await observe(block, weights, hidden, ranges, advance, signal);
  }
  if (ranges) await saveGrids(await ranges.finish());
  if (advance) checkStates(hidden, block.index, lengths);
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

/** Rounds the linear layers that were written without calibration, so that the next block sees what they became. */
async function roundWeights(
  { stages }: TransformerBlock,
  weights: Map<string, BufferHandle>,
  schemes: ReadonlyMap<string, TensorScheme>,
  { backend, targets, transforms, calibrator }: BlocksInput,
  full: FullPrecision | undefined,
): Promise<void> {
  if (transforms.length === 0) return;
  for (const { linears } of stages)
    for (const { name } of linears) {
      const scheme = schemes.get(name);
      const weight = weights.get(name);
      if (!weight || !scheme || scheme.kind === 'float' || targets.has(name)) continue;
      weights.set(name, await fakeQuantizeWeight(backend, weight, scheme, { calibrator }));
      if (weight !== full?.weights.get(name)) backend.free(weight);
    }
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
