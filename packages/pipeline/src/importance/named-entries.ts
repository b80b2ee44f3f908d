import type { ImportanceEntry, OutputTensor } from '@calibrant/core';

type Named = Pick<OutputTensor, 'name' | 'source' | 'stacked'>;

/** The checkpoint's tensors that an output tensor is made of, in order. */
export function sourcesOf({ source, stacked }: Omit<Named, 'name'>): readonly string[] {
  return stacked ?? (source === undefined ? [] : [source]);
}

/**
 * Entries under the names that the output gives the weights, those of stacked experts one after the other, with sums as files hold them (f32), so that a
 * matrix gives the same bytes whether it is used at once or by way of a file.
 */
export function namedEntries(bySource: ReadonlyMap<string, ImportanceEntry>, outputs: readonly Named[]): Map<string, ImportanceEntry> {
  const named = new Map<string, ImportanceEntry>();
  for (const output of outputs) {
    const parts = sourcesOf(output).flatMap((source) => bySource.get(source) ?? []);
    if (parts.length === 0 || parts.length !== sourcesOf(output).length) continue;
    named.set(output.name, {
      sums: Float64Array.from(
        parts.flatMap(({ sums }) => [...sums]),
        Math.fround,
      ),
      counts: Float64Array.from(parts.flatMap(({ counts }) => [...counts])),
    });
  }
  return named;
}
