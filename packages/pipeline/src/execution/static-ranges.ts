import {
  type ActivationGrid,
  type Backend,
  type BufferHandle,
  CalibrantError,
  type ExecutionPlan,
  type FormatWriter,
  rowRanges,
  staticGrid,
} from '@calibrant/core';
import type { CacheObserver, TransformerBlock } from '@calibrant/transformer';

/** The least and greatest values that reached each point of a block on the calibration set. */
export interface RangeCollector {
  readonly observe: (point: string, value: BufferHandle) => void;
  readonly observeCache: CacheObserver;
  /** Waits for what was observed so far; bounds what is queued. */
  settle(): Promise<void>;
  /** The range of a point, or of `key` and `value`; undefined when nothing reached it. */
  range(point: string): { readonly min: number; readonly max: number } | undefined;
}

export function createRangeCollector(backend: Backend): RangeCollector {
  const ranges = new Map<string, { min: number; max: number }>();
  let pending: Promise<void>[] = [];
  const watch = (point: string, value: BufferHandle): void => {
    if (value.shape[0] === 0) return;
    const handle = backend.run(rowRanges, { x: value }, {}).ranges;
    const done = backend.download(handle).then(({ data }) => {
      const range = ranges.get(point) ?? { min: 0, max: 0 };
      for (const found of data as Float32Array) {
        range.min = Math.min(range.min, found);
        range.max = Math.max(range.max, found);
      }
      ranges.set(point, range);
    });
    pending.push(done.finally(() => backend.free(handle)));
  };
  return {
    observe: watch,
    observeCache: watch,
    async settle() {
      const waiting = pending;
      pending = [];
      await Promise.all(waiting);
    },
    range: (point) => ranges.get(point),
  };
}

/** Whether any grid of a plan waits for calibration. */
export function hasStaticGrids({ activations, keyValueCache = new Map() }: ExecutionPlan): boolean {
  const grids = [...activations.values(), ...[...keyValueCache.values()].flatMap(({ key, value }) => [key, value])];
  return grids.some(({ scheme }) => !scheme.dynamic);
}

type BlockStages = Pick<TransformerBlock, 'index' | 'stages'>;

/** Whether a block has grids whose scales calibration must find. */
export function needsRanges({ activations, keyValueCache }: ExecutionPlan, { index, stages }: BlockStages): boolean {
  const cache = keyValueCache?.get(index);
  const grids = [...stages.flatMap(({ linears }) => linears.map(({ name }) => activations.get(name))), cache?.key, cache?.value];
  return grids.some((grid) => grid && !grid.scheme.dynamic);
}

/** The static grids of one block, by what they are for. */
export interface FoundGrids {
  readonly activations: Map<string, ActivationGrid>;
  readonly keyValueCache: Map<number, { key: ActivationGrid; value: ActivationGrid }>;
}

/**
 * Turns the ranges of a block into its static grids, adds them to `found` and hands them to the writer. Layers that read one value get one scale, as
 * servers that fuse them need. Inputs of experts that no token reached get the range of their siblings.
 *
 * @throws CalibrantError `NON_FINITE` when a range is not finite.
 */
export async function writeStaticGrids(
  { activations, keyValueCache }: ExecutionPlan,
  block: BlockStages,
  collector: RangeCollector,
  writer: FormatWriter,
  found: FoundGrids,
): Promise<void> {
  for (const { point, group, linears } of block.stages) {
    const siblings = block.stages.filter((stage) => stage.group === group).flatMap((stage) => collector.range(stage.point) ?? []);
    const range = collector.range(point) ?? widest(siblings);
    for (const { name } of linears) {
      const grid = activations.get(name);
      if (!grid || grid.scheme.dynamic) continue;
      const known = staticGrid(grid.scheme, finite(range, `the input of ${name}`));
      found.activations.set(name, known);
      await writer.writeActivation?.({ linear: name }, known);
    }
  }
  const cache = keyValueCache?.get(block.index);
  if (!cache || cache.key.scheme.dynamic) return;
  const known = { key: cache.key, value: cache.value };
  for (const part of ['key', 'value'] as const) {
    known[part] = staticGrid(
      cache[part].scheme,
      finite(collector.range(part) ?? { min: 0, max: 0 }, `the cached ${part}s of block ${block.index}`),
    );
    await writer.writeActivation?.({ block: block.index, part }, known[part]);
  }
  found.keyValueCache.set(block.index, known);
}

function widest(ranges: readonly { readonly min: number; readonly max: number }[]): { min: number; max: number } {
  return { min: Math.min(0, ...ranges.map(({ min }) => min)), max: Math.max(0, ...ranges.map(({ max }) => max)) };
}

function finite(range: { readonly min: number; readonly max: number }, what: string): { readonly min: number; readonly max: number } {
  if (Number.isFinite(range.min) && Number.isFinite(range.max)) return range;
  throw new CalibrantError(
    'NON_FINITE',
    `Calibration found infinite values in ${what}, so that no static scale fits. Use a dynamic grid such as int8-token, or leave this layer out by keepActivations.`,
  );
}
