import { CalibrantError, type Checkpoint, type RunOptions, throwIfAborted } from '@calibrant/core';
import { type OpenModelOptions, openModel } from '../open-model.js';
import { type ConvertedTensor, sourcesOf } from './plan-conversion.js';

/** Elements that are compared at a time. */
const CHUNK = 4 * 1024 * 1024;

/**
 * Reads the output back as a user would and compares every tensor that was taken over with its source, bit by bit in f32.
 *
 * @returns how many tensors were compared
 * @throws CalibrantError `NUMERICAL` naming the first tensor that differs.
 */
export async function verifyConversion(
  checkpoint: Checkpoint,
  path: string,
  tensors: readonly ConvertedTensor[],
  options: OpenModelOptions & RunOptions,
): Promise<number> {
  const names = tensors.filter(({ step }) => step === 'exact').flatMap(({ planned }) => sourcesOf(planned));
  const { registry, backend, onEvent, signal } = options;
  const written = await openModel(path, { registry, backend });
  let compared = 0;
  try {
    for (const [done, name] of names.entries()) {
      throwIfAborted(signal);
      onEvent?.({ phase: 'Verifying', done, total: names.length, unit: 'tensors', item: name });
      if (!written.tensors.has(name)) continue;
      await compare(checkpoint, written, name);
      compared++;
    }
    onEvent?.({ phase: 'Verifying', done: names.length, total: names.length, unit: 'tensors' });
  } finally {
    await written.close();
  }
  return compared;
}

async function compare(source: Checkpoint, written: Checkpoint, name: string): Promise<void> {
  const [rows, columns] = source.tensors.get(name)?.shape ?? [0, 0];
  const step = Math.max(1, Math.floor(CHUNK / Math.max(1, columns)));
  for (let start = 0; start < rows; start += step) {
    const range = { start, end: Math.min(rows, start + step) };
    const [a, b] = [await source.read(name, range), await written.read(name, range)];
    const bytes = ({ buffer, byteOffset, byteLength }: typeof a.data) => Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
    if (Buffer.compare(bytes(a.data), bytes(b.data)) === 0) continue;
    throw new CalibrantError(
      'NUMERICAL',
      `The converted ${name} does not have the values of its source (rows ${start} to ${range.end}); the likely cause is a scale that the format's scaleDtype rounds. Store scales in the source's type (--format-option scaleDtype=f32), or round again with --allow-lossy.`,
      { tensor: name },
    );
  }
}
