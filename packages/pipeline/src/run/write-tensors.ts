import type {
  Backend,
  BoundCalibrator,
  ExecutionPlan,
  FormatWriter,
  ImportanceMatrix,
  PlannedTensor,
  Quantizer,
  Recipe,
  RunOptions,
  TransformFacts,
} from '@calibrant/core';
import { throwIfAborted } from '@calibrant/core';
import { storedParts, type Transformer, weightsOf } from '@calibrant/transformer';
import { type FoundGrids, hasStaticGrids } from '../execution/static-ranges.js';
import type { Journal } from '../journal/journal.js';
import type { MethodOptions } from '../plan/method-options.js';
import { whyNotServed } from '../statistics/reuse.js';
import type { ModelStatistics } from '../statistics/statistics-file.js';
import type { PlannedTransform } from '../transform/plan-transforms.js';
import { runBlocks } from './blocks.js';
import { calibrateAllExperts, type LayerFacts, trueSequential } from './calibrated.js';
import { type CalibrationSummary, type CalibrationTokens, calibrate, calibrationSources } from './calibration.js';
import { workOf } from './encode-stream.js';
import { readSourceRows } from './source-rows.js';
import { targetsOf } from './targets.js';
import { createWriteRest, type WriteRest } from './write-rest.js';

export interface WriteInput extends RunOptions {
  readonly recipe: Recipe;
  readonly transforms: readonly PlannedTransform[];
  readonly quantizer: Quantizer;
  readonly quantizerOptions: MethodOptions;
  readonly calibrator?: BoundCalibrator | undefined;
  readonly plan: readonly PlannedTensor[];
  readonly writer: FormatWriter;
  readonly transformer: Transformer;
  readonly backend: Backend;
  readonly importance?: ImportanceMatrix | undefined;
  /** Grids of inputs and caches that the output will ask for. */
  readonly execution?: ExecutionPlan | undefined;
  /** Chooses the ranges of its static grids. */
  readonly activationCalibrator: BoundCalibrator;
  /** Takes the place of calibration. */
  readonly statistics?: ModelStatistics | undefined;
  /** A text that the calibration set is compared with. */
  readonly compareText?: string | undefined;
  /** Keeps what is finished, so that a run that was killed can go on. */
  readonly journal?: Journal | undefined;
}

export interface Written {
  readonly facts: ReadonlyMap<string, LayerFacts>;
  /** What each transform did. */
  readonly transforms: readonly (readonly TransformFacts[])[];
  /** Static grids of inputs and caches. */
  readonly grids?: FoundGrids;
  readonly calibration?: CalibrationSummary;
}

/**
 * Computes and writes every planned tensor. What lies outside of blocks, or needs neither data nor a transform, streams by itself; the rest goes
 * block by block, on the calibration set where something needs it.
 */
export async function writeTensors(input: WriteInput): Promise<Written> {
  const { quantizer, plan, transforms, transformer, recipe } = input;
  const linears = new Set(transformer.linears().map(({ name }) => name));
  const chosen = targetsOf(plan, quantizer, linears);
  const calibrated = quantizer.needs.length === 0 ? [] : plan.filter((tensor) => chosen.has(tensor));
  const rest = transforms.length > 0 ? tensorsOfBlocks(plan, transformer, new Set(calibrated)) : new Map<number, PlannedTensor[]>();
  const inBlocks = new Set([...calibrated, ...[...rest.values()].flat()]);
  const writeRest = createWriteRest(input, chosen);
  const needsRanges = input.execution !== undefined && hasStaticGrids(input.execution);
  const needsData = calibrated.length > 0 || needsRanges || transforms.some(({ transform }) => transform.needs.length > 0);
  const source = input.statistics ? 'statistics' : (recipe.calibration?.source ?? 'self');
  const { journal } = input;
  const makeSet = async () => keptSet(input) ?? calibrate(recipe.calibration, input);
  const calibrationTokens = async () => (needsData ? (journal?.calibrated(source, makeSet) ?? makeSet()) : undefined);
  // What is wrong with a text is said before anything is computed; the model's own text needs weights that were looked at.
  const ownText = source !== 'statistics' && calibrationSources(recipe.calibration ?? { source: 'self' }).includes('self');
  const read = ownText ? undefined : await calibrationTokens();
  const rounded = await writeDataFree(
    input,
    plan.filter((tensor) => !inBlocks.has(tensor)),
    writeRest,
  );
  if (inBlocks.size === 0 && !needsRanges) return { facts: rounded, transforms: [] };
  await checkFinite([...inBlocks], input);
  const served = needsData ? servedBy(input, calibrated) : undefined;
  const set = read ?? (await calibrationTokens());
  const earlier = await journal?.replay(input.writer, plan);
  if (earlier) input.onEvent?.({ warning: goesOn(earlier.blocks, transformer), item: 'journal' });
  const writer = journal?.recording(input.writer) ?? input.writer;
  const result = await runBlocks({
    ...input,
    writer,
    earlier,
    onStanding: journal?.finished,
    options: input.quantizerOptions,
    sequences: served ? [] : (set?.sequences ?? []),
    served,
    targets: new Map(calibrated.map((tensor) => [tensor.source as string, tensor])),
    rest,
    writeRest: createWriteRest({ ...input, writer }, chosen),
    propagate: recipe.propagate ?? (calibrated.length > 0 ? 'quantized' : 'full'),
  });
  return {
    facts: new Map([...rounded, ...result.layers]),
    transforms: result.transforms,
    ...(needsRanges ? { grids: result.grids } : {}),
    ...(set ? { calibration: set.summary } : {}),
  };
}

/** The saved statistics where they are all that is needed; says why where they are not. */
function servedBy(
  { statistics, transforms, quantizer, quantizerOptions, transformer, execution, recipe, onEvent }: WriteInput,
  calibrated: readonly PlannedTensor[],
): ModelStatistics | undefined {
  if (!statistics) return undefined;
  const { roundedCalibration, propagate } = recipe;
  const { common } = quantizerOptions;
  const observing = {
    name: quantizer.name,
    saved: statistics.hessians !== undefined,
    hessiansSuffice: calibrated.every((planned) => (quantizer.alsoNeeds?.(quantizerOptions.of(planned)) ?? []).length === 0),
    trueSequential: trueSequential(common),
    allExperts: calibrateAllExperts(common),
    head: calibrated.some(({ source }) => source === transformer.description.head.weight.name),
  };
  const why = whyNotServed({
    transforms,
    quantizer: calibrated.length > 0 ? observing : undefined,
    execution,
    roundedCalibration,
    propagate,
  });
  if (why === undefined) return statistics;
  onEvent?.({
    warning: `${why}: saved statistics do not serve that, and the ${statistics.sequences.length} sequences that they were made on run through the model again.`,
    item: 'statistics',
  });
  return undefined;
}

/** The calibration set that saved statistics were made on. */
function keptSet({ statistics }: WriteInput): CalibrationTokens | undefined {
  return statistics && { sequences: statistics.sequences, summary: statistics.calibration };
}

function goesOn(blocks: number, { description }: Transformer): string {
  return `goes on where an earlier run of the same recipe was stopped, ${blocks} of ${description.blocks.length} blocks done (--no-journal starts anew)`;
}

/** The planned tensors that are made from a block's weights, by block, without those of `except`. */
function tensorsOfBlocks(
  plan: readonly PlannedTensor[],
  { description }: Transformer,
  except: ReadonlySet<PlannedTensor>,
): Map<number, PlannedTensor[]> {
  const blockOf = new Map<string, number>();
  for (const [block, steps] of description.blocks.entries())
    for (const part of weightsOf(steps).flatMap(storedParts)) blockOf.set(part.name, block);
  const found = new Map<number, PlannedTensor[]>();
  for (const tensor of plan) {
    const block = blockOf.get(tensor.source ?? tensor.stacked?.[0] ?? '');
    if (block !== undefined && !except.has(tensor)) found.set(block, [...(found.get(block) ?? []), tensor]);
  }
  return found;
}

/** Looks at the weights that calibration will go through: one NaN in them would spoil all that the model says, and with it the calibration set. */
async function checkFinite(tensors: readonly PlannedTensor[], { transformer, onEvent, signal }: WriteInput): Promise<void> {
  const total = tensors.length;
  if (total === 0) return;
  for (const [done, tensor] of tensors.entries()) {
    throwIfAborted(signal);
    onEvent?.({ phase: 'Checking', done, total, unit: 'tensors', item: tensor.name });
    for await (const _ of readSourceRows(transformer.checkpoint, tensor));
  }
  onEvent?.({ phase: 'Checking', done: total, total, unit: 'tensors' });
}

async function writeDataFree(input: WriteInput, tensors: readonly PlannedTensor[], writeRest: WriteRest): Promise<Map<string, LayerFacts>> {
  const facts = new Map<string, LayerFacts>();
  const { transformer, quantizer, transforms, onEvent } = input;
  const phase = quantizer.needs.length === 0 && transforms.length === 0 ? 'Quantizing' : 'Copying';
  const total = tensors.reduce((sum, tensor) => sum + workOf(tensor), 0) * 4;
  let done = 0;
  const report = (item?: string) => onEvent?.({ phase, done, total, unit: 'bytes', ...(item === undefined ? {} : { item }) });
  report(tensors[0]?.name);
  for (const [i, tensor] of tensors.entries())
    await writeRest([tensor], transformer.checkpoint, input.importance, (name, layerFacts) => {
      if (layerFacts) facts.set(name, layerFacts);
      done += workOf(tensor) * 4;
      report(tensors[i + 1]?.name);
    });
  return facts;
}
