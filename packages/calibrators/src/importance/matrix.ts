import { CalibrantError, type ImportanceEntry, type ImportanceMatrix } from '@calibrant/core';

/** Columns of each expert of an entry. */
export function importanceColumns({ sums, counts }: ImportanceEntry): number {
  return sums.length / counts.length;
}

/**
 * Mean squares `Σ x² / tokens` of one expert's input channels as f32, what encoders weigh errors by. All ones for an expert that saw no token.
 *
 * @throws CalibrantError `NON_FINITE` when a value is not a finite number ≥ 0.
 */
export function meanImportance(name: string, entry: ImportanceEntry, expert = 0): Float32Array {
  const columns = importanceColumns(entry);
  const count = entry.counts[expert];
  if (count === 0) return new Float32Array(columns).fill(1);
  const means = Float32Array.from(entry.sums.subarray(expert * columns, (expert + 1) * columns), (sum) => sum / count);
  const bad = means.findIndex((value) => !(value >= 0 && value < Number.POSITIVE_INFINITY));
  if (bad >= 0)
    throw new CalibrantError(
      'NON_FINITE',
      `The importance of ${name} is ${means[bad]} for input channel ${bad}${entry.counts.length > 1 ? ` of expert ${expert}` : ''}; it must be a finite number of at least 0. Compute the importance matrix again.`,
      { tensor: name },
    );
  return means;
}

/**
 * Adds matrices of one model: sums and counts per weight, texts joined. A weight may be missing from some.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for none, `SHAPE_MISMATCH` when a weight has different sizes in two of them.
 */
export function mergeImportance(matrices: readonly ImportanceMatrix[]): ImportanceMatrix {
  const [first] = matrices;
  if (!first) throw new CalibrantError('INVALID_ARGUMENT', 'There is no importance matrix to merge.');
  const entries = new Map<string, ImportanceEntry>();
  for (const matrix of matrices)
    for (const [name, entry] of matrix.entries) {
      const before = entries.get(name);
      entries.set(name, before ? addEntries(name, before, entry) : entry);
    }
  return {
    entries,
    datasets: [...new Set(matrices.flatMap(({ datasets }) => datasets))],
    chunks: matrices.reduce((sum, { chunks }) => sum + chunks, 0),
    chunkSize: first.chunkSize,
  };
}

function addEntries(name: string, a: ImportanceEntry, b: ImportanceEntry): ImportanceEntry {
  const experts = Math.max(a.counts.length, b.counts.length);
  const [left, right] = [countsPerExpert(a, experts), countsPerExpert(b, experts)];
  if (left.sums.length !== right.sums.length || left.counts.length !== right.counts.length)
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `The importance matrices to merge have ${a.sums.length} and ${b.sums.length} values (${a.counts.length} and ${b.counts.length} experts) for ${name}: they are of different models.`,
      { tensor: name },
    );
  return { sums: left.sums.map((sum, i) => sum + right.sums[i]), counts: left.counts.map((count, i) => count + right.counts[i]) };
}

/** An entry with a count for each expert: llama.cpp's older layout keeps one for all. Unchanged when it does not fit. */
export function countsPerExpert(entry: ImportanceEntry, experts: number): ImportanceEntry {
  if (entry.counts.length === experts || entry.counts.length !== 1 || entry.sums.length % experts !== 0) return entry;
  return { sums: entry.sums, counts: new Float64Array(experts).fill(entry.counts[0]) };
}

/** Sentences about what the text never reached: weights, experts and input channels, with their numbers. Empty when all was reached. */
export function importanceGaps(matrix: ImportanceMatrix): string[] {
  const experts: string[] = [];
  const channels: string[] = [];
  let [missed, all, silent, total] = [0, 0, 0, 0];
  for (const [name, entry] of matrix.entries) {
    const { counts, sums } = entry;
    const columns = importanceColumns(entry);
    const unseen = counts.filter((count) => count === 0).length;
    if (unseen > 0) experts.push(`${name} (${unseen} of ${counts.length})`);
    missed += unseen;
    all += counts.length;
    const zeros = sums.filter((sum, i) => sum === 0 && counts[Math.floor(i / columns)] > 0).length;
    if (zeros > 0) channels.push(`${name} (${zeros} of ${sums.length})`);
    silent += zeros;
    total += sums.length;
  }
  return [
    ...(missed > 0
      ? [
          `${missed} of ${all} experts and layers never saw a token: ${list(experts)}. Their weights are rounded as if all channels mattered alike; use more text, or text of more kinds.`,
        ]
      : []),
    ...(silent > 0
      ? [`${silent} of ${total} input channels were 0 on all of the text: ${list(channels)}. Errors in their columns count nothing.`]
      : []),
  ];
}

function list(names: readonly string[]): string {
  return names.length <= 4 ? names.join(', ') : `${names.slice(0, 4).join(', ')} and ${names.length - 4} more`;
}
