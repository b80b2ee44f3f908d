import { createInputCollector, type InputStatistics, mergeStatistics } from '@calibrant/calibrators';
import {
  type ActivationGrid,
  type ActivationScheme,
  type Backend,
  type BoundCalibrator,
  type BufferHandle,
  type ExecutionPlan,
  type FormatWriter,
  staticGrid,
} from '@calibrant/core';
import type { BlockStage, CacheObserver, TransformerBlock } from '@calibrant/transformer';

/** Statistics of what reaches the linear layers and the cache of a block on the calibration set. */
export interface RangeCollector {
  readonly observe: (point: string, value: BufferHandle) => void;
  readonly observeCache: CacheObserver;
  /** Waits for what was observed so far; bounds what is queued. */
  settle(): Promise<void>;
  /** @throws CalibrantError `NON_FINITE` naming a layer, or the cache, that NaN or infinite values reached */
  finish(): Promise<BlockStatistics>;
}

/** Undefined for what nothing reached. */
export interface BlockStatistics {
  of(stage: BlockStage): InputStatistics | undefined;
  ofCache(part: 'key' | 'value'): InputStatistics | undefined;
}

export function createRangeCollector(backend: Backend, { index, stages }: BlockStages): RangeCollector {
  const collector = createInputCollector(backend);
  // Points are named by a layer that reads them: a person knows it.
  const nameOf = new Map(stages.map(({ point, linears }) => [point, linears[0].name]));
  const cacheName = (part: 'key' | 'value') => `the cached ${part}s of block ${index}`;
  return {
    observe(point, value) {
      const name = nameOf.get(point);
      if (name !== undefined) collector.observe(name, value);
    },
    observeCache: (part, value) => collector.observe(cacheName(part), value),
    settle: () => collector.settle(),
    async finish() {
      const found = await collector.finish();
      return { of: ({ linears }) => found.get(linears[0].name), ofCache: (part) => found.get(cacheName(part)) };
    },
  };
}

/** The static grid of values that streamed by, over the range that a calibrator chooses. */
export function calibratedGrid(scheme: ActivationScheme, statistics: InputStatistics, calibrator: BoundCalibrator): ActivationGrid {
  const { type, bits, symmetric } = scheme;
  const { low, high } = calibrator.range(statistics, { type, bits, symmetric });
  return staticGrid(scheme, { min: low, max: high });
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
  /** Layers whose input, and caches that, are 0 on every calibration token: their scale is 1. */
  readonly zero: string[];
}

/**
 * Turns the statistics of a block into its static grids, adds them to `found` and hands them to the writer. Layers that read one value get one scale, as
 * servers that fuse them need. Inputs of experts that no token reached get the range of their siblings.
 */
export async function writeStaticGrids(
  { activations, keyValueCache }: ExecutionPlan,
  block: BlockStages,
  statistics: BlockStatistics,
  calibrator: BoundCalibrator,
  writer: FormatWriter,
  found: FoundGrids,
): Promise<void> {
  const gridOf = (scheme: ActivationScheme, seen: InputStatistics | undefined, what: string): ActivationGrid => {
    if (!seen?.peaks.some((peak) => peak > 0)) {
      found.zero.push(what);
      return staticGrid(scheme, { min: 0, max: 0 });
    }
    return calibratedGrid(scheme, seen, calibrator);
  };
  for (const stage of block.stages) {
    const waiting = stage.linears.filter(({ name }) => activations.get(name)?.scheme.dynamic === false);
    if (waiting.length === 0) continue;
    const seen =
      statistics.of(stage) ??
      together(block.stages.filter(({ group }) => group === stage.group).flatMap((sibling) => statistics.of(sibling) ?? []));
    const { scheme } = activations.get(waiting[0].name) as ActivationGrid;
    const known = gridOf(scheme, seen, waiting[0].name);
    for (const { name } of waiting) {
      found.activations.set(name, known);
      await writer.writeActivation?.({ linear: name }, known);
    }
  }
  const cache = keyValueCache?.get(block.index);
  if (!cache || cache.key.scheme.dynamic) return;
  const known = { key: cache.key, value: cache.value };
  for (const part of ['key', 'value'] as const) {
    known[part] = gridOf(cache[part].scheme, statistics.ofCache(part), `the cached ${part}s of block ${block.index}`);
    await writer.writeActivation?.({ block: block.index, part }, known[part]);
  }
  found.keyValueCache.set(block.index, known);
}

/** Of inputs of one width, as the experts of a mixture have them. */
function together(parts: readonly InputStatistics[]): InputStatistics | undefined {
  return parts.length === 0 ? undefined : parts.reduce(mergeStatistics);
}
