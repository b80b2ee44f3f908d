import { type ByteSource, CalibrantError, type RunOptions, throwIfAborted } from '@calibrant/core';
import { alignUp } from '../file/gguf-file.js';
import { type GgufModel, type GgufModelTensor, readGgufModel } from '../file/read-model.js';
import { blockCheck } from './scale-checks.js';
import { metadataFaults } from './verify-metadata.js';

/** Something that is wrong with a file. */
export interface GgufFault {
  /** The key, tensor or file that it is about. */
  readonly at: string;
  readonly message: string;
  /** In its file, where there is a place. */
  readonly offset?: number;
}

export interface GgufVerification {
  /** Empty for a model in order. */
  readonly faults: readonly GgufFault[];
  readonly files: number;
  readonly tensors: number;
  /** Bytes of tensor data that were read. */
  readonly bytes: number;
}

const CHUNK = 8 * 2 ** 20;

/**
 * Checks a model: structure, offsets and sizes (also what llama.cpp demands beyond the specification: no gaps between tensors), every block's scales and
 * every float for NaN and infinity, and, for files that are models, the keys of sizes and tokenizer.
 *
 * Damage that ends reading is one fault; what can be read is checked to the end. The source is closed.
 *
 * @throws CalibrantError `IO` or `NETWORK` where a file cannot be read, `ABORTED`.
 */
export async function verifyGguf(source: ByteSource, run: RunOptions = {}): Promise<GgufVerification> {
  let model: GgufModel;
  try {
    model = await readGgufModel(source);
  } catch (error) {
    await source.close();
    if (!CalibrantError.isInstance(error) || !['CORRUPT_FILE', 'UNSUPPORTED', 'NOT_FOUND'].includes(error.code)) throw error;
    const { file = source.name, offset } = error.details;
    return { faults: [{ at: file, message: error.message, ...(offset === undefined ? {} : { offset }) }], files: 1, tensors: 0, bytes: 0 };
  }
  try {
    const faults = [...layoutFaults(model), ...metadataFaults(model), ...(await dataFaults(model, run))];
    return { faults, files: model.parts.length, tensors: model.tensors.size, bytes: dataBytes(model) };
  } finally {
    await model.close();
  }
}

function dataBytes({ tensors }: GgufModel): number {
  return [...tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Tensors must follow each other without gaps in the order in which they are described: llama.cpp refuses others. */
function layoutFaults({ parts }: GgufModel): GgufFault[] {
  return parts.flatMap(({ file }) => {
    let expected = file.dataStart;
    for (const { name, offset, bytes } of file.tensors.values()) {
      if (offset !== expected)
        return [
          {
            at: name,
            offset,
            message: `${file.name}: the data begins at byte ${offset} and not at ${expected}, right behind the tensor before it; llama.cpp refuses that.`,
          },
        ];
      expected = alignUp(offset + bytes, file.alignment);
    }
    const behind = file.size - expected;
    return behind > 0
      ? [{ at: file.name, offset: expected, message: `${file.name}: ${behind} bytes behind the last tensor belong to nothing.` }]
      : [];
  });
}

async function dataFaults(model: GgufModel, { onEvent, signal }: RunOptions): Promise<GgufFault[]> {
  const faults: GgufFault[] = [];
  const total = dataBytes(model);
  let done = 0;
  for (const tensor of model.tensors.values()) {
    const fault = await tensorFault(tensor, (bytes) => {
      throwIfAborted(signal);
      done += bytes;
      onEvent?.({ phase: 'Verifying', done, total, unit: 'bytes', item: tensor.name });
    });
    if (fault) faults.push(fault);
  }
  return faults;
}

async function tensorFault(
  { name, type, offset, bytes, source }: GgufModelTensor,
  step: (bytes: number) => void,
): Promise<GgufFault | undefined> {
  const check = blockCheck(type.name, type.blockBytes);
  const chunk = Math.floor(CHUNK / type.blockBytes) * type.blockBytes;
  let bad = 0;
  let first = -1;
  for (let start = 0; start < bytes; start += chunk) {
    const length = Math.min(chunk, bytes - start);
    const found = check?.scan(await source.read(offset + start, length));
    if (found && found.count > 0) {
      if (bad === 0) first = start / type.blockBytes + found.first;
      bad += found.count;
    }
    step(length);
  }
  if (!check || bad === 0) return undefined;
  const unit = type.blockSize === 1 ? 'element' : 'block';
  return {
    at: name,
    offset: offset + first * type.blockBytes,
    message: `Tensor "${name}" (${type.name}): ${bad} of ${bytes / type.blockBytes} ${unit}s are unusable; ${unit} ${first} ${check.fault}.`,
  };
}
