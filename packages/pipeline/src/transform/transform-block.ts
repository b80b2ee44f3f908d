import {
  type BoundCalibrator,
  type BufferHandle,
  foldFactors,
  type QuantizerContext,
  type RunOptions,
  type Tensor,
  type TransformBlock,
  type TransformFacts,
} from '@calibrant/core';
import type { Transformer, TransformerBlock } from '@calibrant/transformer';
import type { HiddenStates } from '../run/hidden-states.js';
import type { PlannedTransform } from './plan-transforms.js';
import { type PlannedGrids, transformLinears } from './scaling-sites.js';

/** Bounds how far the queue runs ahead of the lanes. */
const SYNC_EVERY = 16;

export interface TransformBlockInput extends RunOptions {
  readonly transformer: Transformer;
  readonly transforms: readonly PlannedTransform[];
  readonly grids: PlannedGrids;
  /** Chooses the ranges of integer grids. */
  readonly calibrator?: BoundCalibrator | undefined;
  /** Tokens of the calibration sequences. */
  readonly lengths: readonly number[];
  /** Largest magnitudes by point, where they are known beforehand. */
  readonly peaks?: ReadonlyMap<string, Float32Array>;
}

/** What was done to a block. */
export interface TransformedBlock {
  /** By transform, in the order of the recipe. */
  readonly facts: readonly (readonly TransformFacts[])[];
  /** The factors of the columns of each weight that was scaled. */
  readonly factors: ReadonlyMap<string, Float64Array>;
  /** The block's outputs under its weights before any transform, where they were asked for and calibration needed a pass anyway. */
  readonly outputs?: Tensor[];
}

/** Applies all transforms to a block's weights, which they replace in the map. */
export async function transformBlock(
  input: TransformBlockInput,
  block: TransformerBlock,
  weights: Map<string, BufferHandle>,
  hidden: HiddenStates | undefined,
  keepOutputs: boolean,
): Promise<TransformedBlock> {
  const { transformer, transforms, grids, calibrator, lengths, peaks, onEvent, signal } = input;
  const { backend } = transformer;
  const untouched = new Map(weights);
  const factors = new Map<string, Float64Array>();
  const facts: (readonly TransformFacts[])[] = [];
  let outputs: Tensor[] | undefined;

  const observe: TransformBlock['observe'] = async (points, see) => {
    if (!hidden) throw new TypeError('A transform observes values without "calibration" among its needs.');
    const keep = keepOutputs && !outputs && [...weights].every(([name, handle]) => untouched.get(name) === handle);
    const kept: Promise<Tensor>[] = [];
    try {
      await hidden.pass(async (state, sequence) => {
        const watch = (point: string, value: BufferHandle) => {
          if (points.has(point)) see(point, value, sequence);
        };
        const output = await block.forward(state, weights, { observe: watch });
        if (keep) kept.push(fetchAndFree(backend.download(output), () => backend.free(output)));
        else backend.free(output);
        if (sequence % SYNC_EVERY === SYNC_EVERY - 1) await backend.sync();
        return undefined;
      }, signal);
      if (keep) outputs = await Promise.all(kept);
    } finally {
      await Promise.allSettled(kept);
    }
  };

  for (const { transform, options, sites } of transforms) {
    const view: TransformBlock = {
      index: block.index,
      architecture: transformer.description.name,
      weights,
      linears: transformLinears(
        block.stages.flatMap(({ linears }) => linears),
        grids,
      ),
      sites: sites.get(block.index) ?? [],
      sequences: hidden ? lengths : [],
      ...(peaks ? { peaks } : {}),
      observe,
      recompute: (site, value, others) => block.recompute(site.point, value, others),
      async fold(site, wanted) {
        const effective = await foldFactors(backend, weights, site, wanted);
        for (const { weight } of site.linears) {
          const before = factors.get(weight);
          factors.set(
            weight,
            Float64Array.from(effective, (factor, channel) => factor * (before?.[channel] ?? 1)),
          );
        }
        return effective;
      },
    };
    const warn = (warning: string) => onEvent?.({ warning, item: transform.name });
    const context: QuantizerContext = {
      backend,
      warn,
      ...(calibrator ? { calibrator } : {}),
      ...(onEvent ? { onEvent } : {}),
      ...(signal ? { signal } : {}),
    };
    facts.push(await transform.apply(view, options, context));
  }
  return { facts, factors, ...(outputs ? { outputs } : {}) };
}

function fetchAndFree(download: Promise<Tensor>, free: () => void): Promise<Tensor> {
  const fetched = download.finally(free);
  fetched.catch(() => {}); // reported by whoever waits for all
  return fetched;
}
