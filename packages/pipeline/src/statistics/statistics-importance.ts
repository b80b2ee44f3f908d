import { open } from 'node:fs/promises';
import type { FormatInput, ImportanceMatrix, OutputTensor } from '@calibrant/core';
import type { Transformer } from '@calibrant/transformer';
import { namedEntries } from '../importance/named-entries.js';
import { openStatistics } from './check-statistics.js';
import { STATISTICS_KIND } from './statistics-file.js';

/** Whether a file is one of `calibrant calibrate`, by its beginning. */
export async function isStatisticsFile(file: string): Promise<boolean> {
  const handle = await open(file).catch(() => undefined);
  if (!handle) return false; // the reader says what is wrong with it
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(256), 0, 256, 0);
    return new TextDecoder().decode(buffer.subarray(0, bytesRead)).includes(STATISTICS_KIND);
  } finally {
    await handle.close();
  }
}

/** The importance matrix that statistics hold, `Σ x²` of every linear layer's input, under the output's names. */
export async function importanceOfStatistics(
  file: string,
  { checkpoint }: FormatInput,
  transformer: Transformer,
  outputs: readonly OutputTensor[],
): Promise<ImportanceMatrix> {
  const { inputs, calibration } = await openStatistics(file, checkpoint, transformer);
  const entries = new Map([...inputs].map(([name, { squares, tokens }]) => [name, { sums: squares, counts: Float64Array.of(tokens) }]));
  return {
    entries: namedEntries(entries, outputs),
    datasets: [calibration.path ?? calibration.source],
    chunks: calibration.sequences,
    chunkSize: Math.ceil(calibration.tokens / Math.max(1, calibration.sequences)),
  };
}
