import { type Backend, type ByteSource, CalibrantError, type Checkpoint, type DType, type Tensor, type TensorInfo } from '@calibrant/core';
import { findBlockTypeById } from '../blocks/block-types.js';
import { MAGIC } from '../file/gguf-file.js';
import { metadataReader } from '../file/metadata.js';
import { type GgufModel, type GgufModelTensor, readGgufModel } from '../file/read-model.js';
import { architectureOfFile, interleavedOrder, isPermuted } from '../models/architectures.js';
import { ROPE_FACTORS, ropeScalingOf } from '../models/rope-factors.js';
import { fromGgufName } from '../models/tensor-names.js';
import { configJson } from './config-json.js';
import { readRows } from './read-rows.js';
import { tokenizerFiles } from './tokenizer-files.js';

/**
 * Opens a GGUF file, or with any of its parts a split model, as a checkpoint: Hugging Face's tensor names and row order, quantized tensors read as f32 (decoded by the backend), floats in their
 * stored type, and config.json, tokenizer.json and tokenizer_config.json reconstructed from the metadata.
 *
 * @throws CalibrantError `CORRUPT_FILE` for a damaged file, `UNSUPPORTED` for an architecture or tensor type that is not read here.
 * @example
 * const checkpoint = await openGgufCheckpoint(source, { backend });
 * const rows = await checkpoint.read('model.layers.0.self_attn.q_proj.weight', { start: 0, end: 64 });
 */
export async function openGgufCheckpoint(source: ByteSource, { backend }: { readonly backend: Backend }): Promise<Checkpoint> {
  const file = await readGgufModel(source);
  try {
    return await checkpointOf(file, backend);
  } catch (error) {
    await Promise.all(file.parts.filter((part) => part.source !== source).map((part) => part.source.close()));
    throw error;
  }
}

async function checkpointOf(file: GgufModel, backend: Backend): Promise<Checkpoint> {
  const metadata = metadataReader(file.name, file.metadata);
  const architecture = architectureOfFile(metadata.requireString('general.architecture'), file.name);
  const stored = new Map<string, GgufModelTensor>();
  for (const tensor of file.tensors.values()) {
    const name = fromGgufName(tensor.name);
    if (name) stored.set(name, tensor);
    else if (tensor.name !== ROPE_FACTORS)
      throw new CalibrantError(
        'UNSUPPORTED',
        `${file.name}: tensor "${tensor.name}" has no place in a checkpoint of architecture ${architecture.name}.`,
        {
          file: file.name,
          tensor: tensor.name,
        },
      );
  }
  const config = configJson(metadata, {
    file: file.name,
    tensors: stored.size,
    architecture,
    tied: !stored.has('lm_head.weight'),
    attentionBias: stored.has('model.layers.0.self_attn.q_proj.bias'),
    mlpBias: stored.has('model.layers.0.mlp.gate_proj.bias'),
    vocabSize: stored.get('model.embed_tokens.weight')?.shape[0] ?? metadata.requireNumber(`${architecture.name}.vocab_size`),
    llama3: await llama3Scaling(file, backend),
  });
  const order = interleavedOrder(Number(config['head_dim']));
  const sideFiles = new Map([['config.json', JSON.stringify(config)], ...tokenizerFiles(file)]);
  const tensors = new Map([...stored].map(([name, tensor]) => [name, tensorInfo(name, tensor)]));
  return {
    name: file.name,
    config,
    tensors,
    files: [...sideFiles.keys()],
    async text(name) {
      return sideFiles.get(name);
    },
    async read(name, range): Promise<Tensor> {
      const tensor = stored.get(name);
      if (!tensor) throw new CalibrantError('NOT_FOUND', `${file.name} holds no tensor "${name}".`, { file: file.name, tensor: name });
      const permutation = architecture.interleaved && isPermuted(tensor.name) ? order : undefined;
      return readRows(tensor.source, backend, tensor, range ?? { start: 0, end: tensor.shape[0] ?? 1 }, permutation);
    },
    close: () => file.close(),
  };
}

/** {@link openGgufCheckpoint} for a source that begins as a GGUF file does, else undefined. */
export async function openGgufFile(source: ByteSource, context: { readonly backend: Backend }): Promise<Checkpoint | undefined> {
  if (source.size < 4) return undefined;
  const start = await source.read(0, 4);
  if (new DataView(start.buffer, start.byteOffset, 4).getUint32(0, true) !== MAGIC) return undefined;
  return openGgufCheckpoint(source, context);
}

const DTYPES: Readonly<Record<string, DType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

function tensorInfo(name: string, { shape, type, bytes, source }: GgufModelTensor): TensorInfo {
  const dtype = DTYPES[type.name];
  return { name, shape, bytes, file: source.name, dtype: dtype ?? 'f32', ...(dtype ? {} : { storage: type.name }) };
}

async function llama3Scaling(file: GgufModel, backend: Backend) {
  const tensor = file.tensors.get(ROPE_FACTORS);
  if (!tensor) return undefined;
  if (findBlockTypeById(tensor.type.id)?.name !== 'F32')
    throw new CalibrantError('UNSUPPORTED', `${file.name}: "${ROPE_FACTORS}" must be F32, found ${tensor.type.name}.`, {
      file: file.name,
      tensor: ROPE_FACTORS,
    });
  const factors = await readRows(tensor.source, backend, tensor, { start: 0, end: tensor.shape[0] });
  return (config: { headDim: number; ropeTheta: number }, originalContext: number) =>
    ropeScalingOf(file.name, factors.data as Float32Array, config, originalContext);
}
