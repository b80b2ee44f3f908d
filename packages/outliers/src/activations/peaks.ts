import { type Backend, type BufferHandle, fetchAll } from '@calibrant/core';
import { PEAKS, rowPeaks } from '../kernels/row-peaks.js';
import type { MassiveActivation, OutlierCriteria, Peak } from '../report-types.js';

/** The values of a layer's hidden states that stand out. */
export interface PeakCollector {
  /** Enqueues the search in the hidden states `[tokens, width]` of one sequence. */
  observe(x: BufferHandle, sequence: number): void;
  /** The three largest values, and the massive ones given the median size of all values. At most {@link PEAKS} of a token are seen. */
  finish(
    layer: number,
    median: number,
    criteria: Pick<OutlierCriteria, 'massiveValue' | 'massiveRatio'>,
  ): Promise<{ readonly peaks: Peak[]; readonly massive: MassiveActivation[] }>;
}

/** Peaks that are kept of a layer, whatever their size. */
const KEPT = 3;

export function createPeakCollector(backend: Backend): PeakCollector {
  const waiting: { readonly sequence: number; readonly found: Promise<{ values: unknown; columns: unknown }> }[] = [];
  return {
    observe(x, sequence) {
      const found = fetchAll(backend, backend.run(rowPeaks, { x }, {}));
      found.catch(() => {}); // reported in its turn
      waiting.push({ sequence, found });
    },
    async finish(layer, median, { massiveValue, massiveRatio }) {
      const massive: MassiveActivation[] = [];
      let peaks: Peak[] = [];
      try {
        for (const { sequence, found } of waiting) {
          const { values, columns } = (await found) as { values: Float32Array; columns: Int32Array };
          const all = Array.from(values, (value, i) => ({ sequence, position: Math.floor(i / PEAKS), dimension: columns[i], value }));
          const large = all.filter(({ value, dimension }) => dimension >= 0 && Math.abs(value) >= massiveValue);
          for (const peak of large)
            if (Math.abs(peak.value) >= massiveRatio * median) massive.push({ ...peak, layer, ratio: Math.abs(peak.value) / median });
          peaks = [...peaks, ...all].sort(bySize).slice(0, KEPT);
        }
      } finally {
        await Promise.allSettled(waiting.map(({ found }) => found));
        waiting.length = 0;
      }
      return { peaks, massive };
    },
  };
}

/** Largest first; in the order of the text where sizes are equal. */
export function bySize(a: Peak, b: Peak): number {
  return Math.abs(b.value) - Math.abs(a.value) || a.sequence - b.sequence || a.position - b.position || a.dimension - b.dimension;
}
