import type { Backend, BufferHandle, ImportanceEntry } from '@calibrant/core';
import { sumSquares } from './sum-squares.js';

/** Sums that wait for the backend before the oldest is fetched: bounds memory, keeps the lanes busy. */
const IN_FLIGHT = 64;

/** Adds up the squares of what it is shown, point by point. */
export interface ImportanceCollector {
  /** Enqueues `Σ x²` of a linear layer's input `[tokens, columns]` on the input's lane. Counts its rows as tokens. */
  observe(point: string, x: BufferHandle): void;
  /** Fetches sums until few are waiting. Call between units of work. */
  settle(): Promise<void>;
  /** Fetches all that waits, and gives the totals by point, each with one expert. Rejects with the first failure. */
  finish(): Promise<Map<string, ImportanceEntry>>;
}

/**
 * Collects importance: per point `Σ x²` of each channel and the number of tokens. Each call's sum is made in f64 on the lane of its input, and the sums are added
 * in f64 in the order of the calls: the result depends neither on lanes nor on timing.
 *
 * @param points points with their columns; one that is never observed ends with zeros
 */
export function createImportanceCollector(backend: Backend, points: ReadonlyMap<string, number>): ImportanceCollector {
  const totals = new Map([...points].map(([point, columns]) => [point, { sums: new Float64Array(columns), counts: new Float64Array(1) }]));
  const waiting: { readonly point: string; readonly tokens: number; readonly sums: Promise<Float64Array> }[] = [];

  const addOldest = async () => {
    const oldest = waiting.shift();
    if (!oldest) return;
    const sums = await oldest.sums;
    const total = totals.get(oldest.point);
    if (!total) return;
    for (let c = 0; c < sums.length; c++) total.sums[c] += sums[c];
    total.counts[0] += oldest.tokens;
  };
  const fetch = async (handle: BufferHandle) => {
    try {
      return (await backend.download(handle)).data as Float64Array;
    } finally {
      backend.free(handle);
    }
  };

  return {
    observe(point, x) {
      if (!totals.has(point)) return;
      const sums = fetch(backend.run(sumSquares, { x }, {}).sums);
      sums.catch(() => {}); // reported in its turn
      waiting.push({ point, tokens: x.shape[0], sums });
    },
    async settle() {
      while (waiting.length > IN_FLIGHT) await addOldest();
    },
    async finish() {
      try {
        while (waiting.length > 0) await addOldest();
      } finally {
        await Promise.allSettled(waiting.map(({ sums }) => sums));
      }
      return totals;
    },
  };
}
