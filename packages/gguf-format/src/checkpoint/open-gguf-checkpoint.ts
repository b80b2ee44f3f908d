import {
  type Backend,
  type ByteSource,
  CalibrantError,
  type Checkpoint,
  type DType,
  type RunOptions,
  type Tensor,
  type TensorInfo,
} from '@calibrant/core';
import { findBlockTypeById } from '../blocks/block-types.js';
import { MAGIC } from '../file/gguf-file.js';
import { metadataReader } from '../file/metadata.js';
import { type GgufModel, type GgufModelTensor, readGgufModel } from '../file/read-model.js';
import { architectureOfFile } from '../models/architectures.js';
import { FACTOR_TENSORS } from '../models/rope-factors.js';
import { checkpointTensors, readCheckpointRows } from './checkpoint-tensors.js';
import { configJson } from './config-json.js';
import { withOrigin } from './gguf-origin.js';
import { readRows } from './read-rows.js';
import { tokenizerFiles, unknownSplits } from './tokenizer-files.js';

/**
 * Opens a GGUF file, or with any of its parts a split model, as a checkpoint: Hugging Face's tensor names and row order, quantized tensors read as f32 (decoded by the backend), floats in their
 * stored type, and config.json, tokenizer.json and tokenizer_config.json reconstructed from the metadata.
 *
 * @throws CalibrantError `CORRUPT_FILE` for a damaged file, `UNSUPPORTED` for an architecture or tensor type that is not read here.
 * @example
 * const checkpoint = await openGgufCheckpoint(source, { backend });
 * const rows = await checkpoint.read('model.layers.0.self_attn.q_proj.weight', { start: 0, end: 64 });
 */
export async function openGgufCheckpoint(
  source: ByteSource,
  { backend, onEvent }: { readonly backend: Backend } & Pick<RunOptions, 'onEvent'>,
): Promise<Checkpoint> {
  const file = await readGgufModel(source);
  try {
    const checkpoint = await checkpointOf(file, backend);
    const warning = unknownSplits(file);
    if (warning) onEvent?.({ warning, item: 'tokenizer' });
    return checkpoint;
  } catch (error) {
    await Promise.all(file.parts.filter((part) => part.source !== source).map((part) => part.source.close()));
    throw error;
  }
}

async function checkpointOf(file: GgufModel, backend: Backend): Promise<Checkpoint> {
  const metadata = metadataReader(file.name, file.metadata);
  const architecture = architectureOfFile(metadata.requireString('general.architecture'), file.name);
  const embedding = file.tensors.get('token_embd.weight');
  const factors = await factorsOf(file, backend);
  const config = configJson(metadata, {
    file: file.name,
    architecture,
    tensors: new Set(file.tensors.keys()),
    vocabSize: embedding?.shape[0] ?? metadata.requireNumber(`${architecture.name}.vocab_size`),
    factors,
  });
  const stored = checkpointTensors(file, architecture, config);
  const sideFiles = new Map([['config.json', JSON.stringify(config)], ...tokenizerFiles(file)]);
  const tensors = new Map([...stored].map(([name, { shape, tensor }]) => [name, tensorInfo(name, shape, tensor)]));
  const checkpoint: Checkpoint = {
    name: file.name,
    config,
    tensors,
    files: [...sideFiles.keys()],
    async text(name) {
      return sideFiles.get(name);
    },
    async read(name, range): Promise<Tensor> {
      const found = stored.get(name);
      if (!found) throw new CalibrantError('NOT_FOUND', `${file.name} holds no tensor "${name}".`, { file: file.name, tensor: name });
      return readCheckpointRows(backend, found, range ?? { start: 0, end: found.shape[0] ?? 1 });
    },
    close: () => file.close(),
  };
  return withOrigin(checkpoint, { metadata: file.metadata, factors });
}

/** {@link openGgufCheckpoint} for a source that begins as a GGUF file does, else undefined. */
export async function openGgufFile(
  source: ByteSource,
  context: { readonly backend: Backend } & Pick<RunOptions, 'onEvent'>,
): Promise<Checkpoint | undefined> {
  return (await isGguf(source)) ? openGgufCheckpoint(source, context) : undefined;
}

/** Whether a source begins as a GGUF file does. */
export async function isGguf(source: ByteSource): Promise<boolean> {
  if (source.size < 4) return false;
  const start = await source.read(0, 4);
  return new DataView(start.buffer, start.byteOffset, 4).getUint32(0, true) === MAGIC;
}

const DTYPES: Readonly<Record<string, DType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/** A tensor of the file under a name and in the shape that a checkpoint gives it. */
export function tensorInfo(name: string, shape: readonly number[], { type, bytes, source }: GgufModelTensor): TensorInfo {
  const dtype = DTYPES[type.name];
  return { name, shape, bytes, file: source.name, dtype: dtype ?? 'f32', ...(dtype ? {} : { storage: type.name }) };
}

/** The tensors of rope factors. */
async function factorsOf(file: GgufModel, backend: Backend): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  for (const name of FACTOR_TENSORS) {
    const tensor = file.tensors.get(name);
    if (!tensor) continue;
    if (findBlockTypeById(tensor.type.id)?.name !== 'F32')
      throw new CalibrantError('UNSUPPORTED', `${file.name}: "${name}" must be F32, found ${tensor.type.name}.`, {
        file: file.name,
        tensor: name,
      });
    found.set(name, (await readRows(tensor.source, backend, tensor, { start: 0, end: tensor.shape[0] })).data as Float32Array);
  }
  return found;
}
