import { type Backend, type BufferHandle, createOrderedFetch, type ImportanceEntry } from '@calibrant/core';
import { sumSquares } from './sum-squares.js';

/** Sequences whose results are on their way. */
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
  const queue = createOrderedFetch(backend, IN_FLIGHT);
  return {
    observe(point, x) {
      const total = totals.get(point);
      if (!total) return;
      const tokens = x.shape[0];
      queue.push(backend.run(sumSquares, { x }, {}), ({ sums }) => {
        for (let c = 0; c < sums.length; c++) total.sums[c] += Number(sums[c]);
        total.counts[0] += tokens;
      });
    },
    settle: queue.settle,
    async finish() {
      await queue.finish();
      return totals;
    },
  };
}
