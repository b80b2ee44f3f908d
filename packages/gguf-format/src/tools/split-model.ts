import { CalibrantError, type OutputFolder, type RunOptions } from '@calibrant/core';
import { alignUp, DEFAULT_ALIGNMENT } from '../file/gguf-file.js';
import type { GgufModel } from '../file/read-model.js';
import { MOST_PARTS, partName, splitKeys } from '../file/split-names.js';
import { copyTensors, exactMetadata, type WrittenGguf } from './copy-model.js';
import { type PartLimits, planParts } from './part-plan.js';

export interface SplitOptions extends PartLimits, RunOptions {
  /** The parts are named `PREFIX-00001-of-00003.gguf`. */
  readonly prefix: string;
}

/**
 * Writes a model as several files, which llama.cpp loads from the first: the metadata in the first, tensors in their order.
 * {@link mergeGguf} makes the same file of them again, byte for byte.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` without a limit, or for one that makes too many parts.
 */
export async function splitGguf(
  model: GgufModel,
  folder: OutputFolder,
  { prefix, maxBytes, maxTensors, ...run }: SplitOptions,
): Promise<WrittenGguf[]> {
  if (maxBytes === undefined && maxTensors === undefined)
    throw new CalibrantError('INVALID_ARGUMENT', 'Say how large a part may be: maxBytes or maxTensors.', { option: 'maxBytes' });
  const tensors = [...model.tensors.values()].map((tensor) => ({ ...tensor, padded: alignUp(tensor.bytes, DEFAULT_ALIGNMENT) }));
  const parts = planParts(tensors, {
    ...(maxBytes === undefined ? {} : { maxBytes }),
    ...(maxTensors === undefined ? {} : { maxTensors }),
  });
  const metadata = await exactMetadata(model);
  const files = parts.map((part, index) => ({
    name: partName(prefix, index, parts.length),
    metadata: new Map([...(index === 0 ? metadata : []), ...splitKeys(index, parts.length, tensors.length)]),
    tensors: part,
  }));
  return copyTensors(files, folder, { phase: 'Splitting', ...run });
}

/**
 * Writes a split model as one file, without the keys of splitting.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for a model that is in one file already.
 */
export async function mergeGguf(
  model: GgufModel,
  folder: OutputFolder,
  { fileName, ...run }: { readonly fileName: string } & RunOptions,
): Promise<WrittenGguf> {
  if (model.parts.length === 1)
    throw new CalibrantError('INVALID_ARGUMENT', `${model.name} is in one file already: it has no "split.count" from 2 to ${MOST_PARTS}.`, {
      file: model.name,
    });
  const files = [{ name: fileName, metadata: await exactMetadata(model), tensors: [...model.tensors.values()] }];
  const [written] = await copyTensors(files, folder, { phase: 'Merging', ...run });
  return written;
}
