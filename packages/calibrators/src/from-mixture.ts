import type { CalibrationSet, RawSet } from './calibration-set.js';

/**
 * How many of the first `samples` sequences each part gives, by its share: each sequence comes from the part that is furthest behind, so that fewer samples are the beginning of more.
 *
 * @returns for each sequence the index of its part
 */
export function dealSequences(shares: readonly number[], samples: number): number[] {
  const total = shares.reduce((sum, share) => sum + share, 0);
  const given = shares.map(() => 0);
  return Array.from({ length: samples }, (_, i) => {
    const behind = shares.map((share, part) => (share / total) * (i + 1) - given[part]);
    const next = behind.indexOf(Math.max(...behind));
    given[next]++;
    return next;
  });
}

/** Deals the sequences of several sets into one in the order of {@link dealSequences}; a part that has too few is left behind. */
export function mixSets(sets: readonly CalibrationSet[], order: readonly number[], seed: number): RawSet {
  const next = sets.map(() => 0);
  const sequences = order.flatMap((part) => {
    const sequence = sets[part].sequences[next[part]++];
    return sequence ? [sequence] : [];
  });
  const warnings = sets.flatMap((set) => set.warnings);
  const available = sets.reduce((sum, set) => sum + set.available, 0);
  return { sequences, source: 'mixture', seed, available, warnings };
}
