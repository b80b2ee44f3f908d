import { type Backend, type BufferHandle, CalibrantError, type Tensor } from '@calibrant/core';
import { emptyStatistics, type InputStatistics, mergeStatistics } from './input-statistics.js';
import { inputStatistics } from './kernel.js';

/** Observations that wait for the backend before the oldest is fetched: bounds memory, keeps the lanes busy. */
const IN_FLIGHT = 64;

/** Gathers statistics of what it is shown, point by point. */
export interface InputCollector {
  /** Enqueues the statistics of a linear layer's input `[tokens, n]`, of one sequence, on the input's lane. Without tokens nothing is added. */
  observe(point: string, x: BufferHandle): void;
  /** Fetches until few are waiting. Call between units of work. */
  settle(): Promise<void>;
  /** Fetches all that waits, and gives the statistics by point. Rejects with the first failure. */
  finish(): Promise<Map<string, InputStatistics>>;
}

/**
 * Collects {@link InputStatistics}. Sums of a sequence are made in f64 on the lane of its input, and added in the order of the calls: the result depends neither on lanes nor on timing.
 *
 * @param points points with their channels; one that is never observed ends with statistics of no token. Without it every point that is observed counts
 * @throws CalibrantError `NON_FINITE` (from `settle` and `finish`) when an input holds NaN or infinite values, with their number and the point
 * @example
 * const collector = createInputCollector(backend, new Map([['attention input', 4096]]));
 * collector.observe('attention input', x);
 * const { tokens, peaks } = (await collector.finish()).get('attention input')!;
 */
export function createInputCollector(backend: Backend, points?: ReadonlyMap<string, number>): InputCollector {
  const totals = new Map([...(points ?? [])].map(([point, channels]) => [point, emptyStatistics(channels)]));
  const waiting: { readonly point: string; readonly tokens: number; readonly parts: Promise<Record<string, Tensor>> }[] = [];

  const fetch = async (handles: Record<string, BufferHandle>) => {
    try {
      const values = await Promise.all(Object.values(handles).map((handle) => backend.download(handle)));
      return Object.fromEntries(Object.keys(handles).map((name, i) => [name, values[i]]));
    } finally {
      backend.free(...Object.values(handles));
    }
  };
  const addOldest = async () => {
    const oldest = waiting.shift();
    if (!oldest) return;
    const { point, tokens } = oldest;
    const part = ofSequence(await oldest.parts, tokens, point);
    const before = totals.get(point);
    totals.set(point, before ? mergeStatistics(before, part) : part);
  };

  return {
    observe(point, x) {
      if ((points && !points.has(point)) || x.shape[0] === 0) return;
      const parts = fetch(backend.run(inputStatistics, { x }, {}));
      parts.catch(() => {}); // reported in its turn
      waiting.push({ point, tokens: x.shape[0], parts });
    },
    async settle() {
      while (waiting.length > IN_FLIGHT) await addOldest();
    },
    async finish() {
      try {
        while (waiting.length > 0) await addOldest();
      } finally {
        await Promise.allSettled(waiting.map(({ parts }) => parts));
      }
      return totals;
    },
  };
}

function ofSequence(parts: Record<string, Tensor>, tokens: number, point: string): InputStatistics {
  const { peaks, sums, squares, range, exponent, counts, notFinite } = parts;
  const bad = Number(notFinite.data[0]);
  if (bad > 0)
    throw new CalibrantError(
      'NON_FINITE',
      `${bad} of the ${tokens * peaks.shape[0]} values that reach ${point} on a calibration sequence are NaN or infinite. Check the weights of the checkpoint before this layer, or calibrate on other text.`,
      { tensor: point },
    );
  return {
    tokens,
    peaks: peaks.data as Float32Array,
    sums: sums.data as Float64Array,
    squares: squares.data as Float64Array,
    histogram: { exponent: Number(exponent.data[0]), counts: Float64Array.from(counts.data as Int32Array) },
    sequenceLows: Float32Array.of(Number(range.data[0])),
    sequenceHighs: Float32Array.of(Number(range.data[1])),
  };
}
