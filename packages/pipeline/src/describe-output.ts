import { stat } from 'node:fs/promises';
import path from 'node:path';
import { elementCount } from '@calibrant/core';
import { type OpenModelOptions, openModel } from './open-model.js';

/** Opens what was written as a user would, and measures its size: a file that cannot be read back is never delivered. */
export async function describeOutput(
  folder: string,
  files: readonly string[],
  { registry, backend }: OpenModelOptions,
): Promise<{ parameters: number; bytes: number; bitsPerWeight: number }> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(path.join(folder, file))).size));
  const single = files.length === 1 && !files[0].endsWith('.safetensors');
  const written = await openModel(single ? path.join(folder, files[0]) : folder, { registry, backend });
  try {
    const tensors = [...written.tensors.values()];
    const parameters = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    const tensorBytes = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
    return { parameters, bytes: sizes.reduce((sum, size) => sum + size, 0), bitsPerWeight: (8 * tensorBytes) / parameters };
  } finally {
    await written.close();
  }
}
