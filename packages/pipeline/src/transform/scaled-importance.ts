import type { ImportanceEntry, ImportanceMatrix, PlannedTensor } from '@calibrant/core';

/**
 * An importance matrix after the channels of some weights were scaled: with columns multiplied by s the inputs are divided by it, so that `Σ x²` becomes
 * `Σ x² / s²`.
 */
export function scaledImportance(
  matrix: ImportanceMatrix,
  tensors: readonly PlannedTensor[],
  factors: ReadonlyMap<string, Float64Array>,
): ImportanceMatrix {
  const entries = new Map(matrix.entries);
  for (const { name, source, stacked } of tensors) {
    const entry = entries.get(name);
    const sources = stacked ?? (source === undefined ? [] : [source]);
    if (entry && sources.some((each) => factors.has(each))) entries.set(name, scaled(entry, sources, factors));
  }
  return { ...matrix, entries };
}

function scaled(
  { sums, counts }: ImportanceEntry,
  sources: readonly string[],
  factors: ReadonlyMap<string, Float64Array>,
): ImportanceEntry {
  // Experts may share one row of sums.
  const columns = factors.get(sources.find((each) => factors.has(each)) as string)?.length ?? sums.length;
  const divided = sums.map((sum, at) => {
    const factor = factors.get(sources[Math.floor(at / columns)] ?? sources[0])?.[at % columns] ?? 1;
    return sum / factor ** 2;
  });
  return { sums: divided, counts };
}
