import type { InputStatistics } from '@calibrant/calibrators';
import { type Checkpoint, type ExecutionPlan, type Recipe, type RunOptions, throwIfAborted } from '@calibrant/core';
import type { Transformer, TransformerBlock } from '@calibrant/transformer';
import { type BlockStatistics, hasStaticGrids } from '../execution/static-ranges.js';
import type { PlannedTransform } from '../transform/plan-transforms.js';
import { openStatistics } from './check-statistics.js';
import { hessianFileOf, openHessians } from './hessian-file.js';
import type { ModelStatistics } from './statistics-file.js';

/** The statistics that a recipe names, checked against the model; undefined when it names none. */
export async function recipeStatistics(
  { statistics }: Recipe,
  checkpoint: Checkpoint,
  transformer: Transformer,
  { signal }: RunOptions,
): Promise<ModelStatistics | undefined> {
  throwIfAborted(signal);
  if (statistics === undefined) return undefined;
  const found = await openStatistics(statistics, checkpoint, transformer, { exact: true });
  const hessians = await openHessians(hessianFileOf(statistics), { model: found.model, tokens: found.calibration.sha256 });
  return hessians ? { ...found, hessians } : found;
}

/** What of a recipe waits for calibration. */
export interface CalibrationNeeds {
  readonly transforms: readonly PlannedTransform[];
  /** The quantizer where it observes the model. */
  readonly quantizer: ObservingQuantizer | undefined;
  readonly execution: ExecutionPlan | undefined;
  readonly roundedCalibration: boolean;
  readonly propagate: Recipe['propagate'];
}

/** A quantizer that observes the model, and what of its options decides whether saved Hessians serve it. */
export interface ObservingQuantizer {
  readonly name: string;
  /** It asks for Hessians alone. */
  readonly hessiansSuffice: boolean;
  readonly trueSequential: boolean;
  readonly allExperts: boolean;
  /** The output projection is among what it quantizes. */
  readonly head: boolean;
  /** Hessians were saved with the statistics. */
  readonly saved: boolean;
}

/**
 * Why statistics of the full-precision model do not serve a recipe, so that the tokens that they were made on run through the model again; undefined when they are all that it needs. The result is then the same,
 * to the byte, as that of a run of its own.
 */
export function whyNotServed({ transforms, quantizer, execution, roundedCalibration, propagate }: CalibrationNeeds): string | undefined {
  if (quantizer !== undefined) {
    const why = whyHessiansDoNot(quantizer, propagate);
    if (why !== undefined) return why;
    if (transforms.length > 0) return `${quantizer.name} sees what ${transforms[0].transform.name} makes`;
    if (execution !== undefined && (hasStaticGrids(execution) || roundedCalibration))
      return `grids of activations are found, or seen, while ${quantizer.name} works`;
    return undefined;
  }
  if (propagate === 'quantized') return 'propagate: quantized feeds each block what the quantized blocks before it produce';
  const observing = transforms.filter(({ transform }) => transform.needs.length > 0);
  const searching = observing.find(({ transform, options }) => !transform.peaksSuffice?.(options));
  if (searching) return `${searching.transform.name} measures outputs of layers in its search`;
  if (observing.length > 0 && transforms.length > 1)
    return `${transforms.map(({ transform }) => transform.name).join(' and ')} see what the one before made`;
  const ranges = execution !== undefined && hasStaticGrids(execution);
  if (ranges && transforms.length > 0) return `${transforms[0].transform.name} changes the inputs whose static ranges are wanted`;
  if (ranges && roundedCalibration) return 'roundedCalibration wants the ranges of rounded inputs';
  return undefined;
}

function whyHessiansDoNot(quantizer: ObservingQuantizer, propagate: Recipe['propagate']): string | undefined {
  const { name, saved, hessiansSuffice, trueSequential, allExperts, head } = quantizer;
  if (propagate !== 'full' || trueSequential)
    return `${name} quantizes each layer on what the quantized layers before it produce${saved ? ' (--propagate full --set trueSequential=false takes the saved Hessians)' : ''}`;
  if (!saved) return `${name} needs Hessians, which calibrant calibrate saves with --hessians`;
  if (!hessiansSuffice) return `${name} compares the inputs of two models`;
  if (allExperts) return 'calibrateAllExperts shows experts tokens that do not reach them';
  return head ? 'the output projection is calibrated on the last block' : undefined;
}

/** Statistics by the points of a block. */
export function statisticsOfBlock({ inputs, caches }: ModelStatistics, block: number): BlockStatistics {
  const seen = (statistics: InputStatistics | undefined) => (statistics && statistics.tokens > 0 ? statistics : undefined);
  return { of: ({ linears }) => seen(inputs.get(linears[0].name)), ofCache: (part) => seen(caches.get(block)?.[part]) };
}

/** The largest magnitude of each channel by point: of the points that linear layers read, and of sites, whose value may reach its readers in parts (the tokens of each expert). */
export function peaksOfBlock(
  { inputs }: ModelStatistics,
  { index, stages }: Pick<TransformerBlock, 'index' | 'stages'>,
  transforms: readonly PlannedTransform[],
): Map<string, Float32Array> {
  const peaks = new Map(
    stages.flatMap(({ point, linears }) => (inputs.has(linears[0].name) ? [[point, peaksOf(linears[0].name)] as const] : [])),
  );
  for (const { point, channels, linears } of transforms.flatMap(({ sites }) => sites.get(index) ?? [])) {
    if (peaks.has(point)) continue;
    const largest = new Float32Array(channels);
    for (const { weight } of linears)
      peaksOf(weight).forEach((peak, c) => {
        largest[c] = Math.max(largest[c], peak);
      });
    peaks.set(point, largest);
  }
  return peaks;

  function peaksOf(name: string): Float32Array {
    return inputs.get(name)?.peaks ?? new Float32Array();
  }
}
