import {
  type Backend,
  CalibrantError,
  type Checkpoint,
  elementCount,
  type Registry,
  type RunOptions,
  type TensorInfo,
} from '@calibrant/core';
import { readLooseSafetensors } from './loose-safetensors.js';
import { openModel, openSingleFile, singleFile } from './open-model.js';

export interface ModelInspection {
  readonly name: string;
  readonly architecture: string;
  readonly parameters: number;
  /** Bytes of tensor data. */
  readonly bytes: number;
  readonly bitsPerWeight: number;
  /** Sizes from the config, under the names that people know. */
  readonly shape: Readonly<Record<string, number | string>>;
  readonly types: readonly { type: string; tensors: number; parameters: number; bytes: number }[];
  readonly tensors: readonly { name: string; type: string; shape: readonly number[]; bytes: number; file: string }[];
  readonly files: readonly string[];
  /** Why nothing but this can be done with the file here. */
  readonly note?: string;
}

const SHAPE_KEYS: Readonly<Record<string, string>> = {
  num_hidden_layers: 'layers',
  hidden_size: 'hidden size',
  intermediate_size: 'MLP size',
  num_attention_heads: 'attention heads',
  num_key_value_heads: 'key/value heads',
  head_dim: 'head size',
  vocab_size: 'vocabulary',
  max_position_embeddings: 'positions',
};

/**
 * Lists what a model holds, from its headers alone. A safetensors file, or a folder of them without `config.json`, shows its tensors, with an unknown
 * architecture; a GGUF file that is no model for this package shows its own, with a note that says why.
 *
 * @throws CalibrantError as {@link openModel} does.
 */
export async function inspectModel(
  options: { model: string; registry: Registry; backend: Backend } & RunOptions,
): Promise<ModelInspection> {
  const loose = await readLooseSafetensors(options.model, options);
  if (loose) return describe({ ...loose, config: {}, files: [] });
  let checkpoint: Checkpoint;
  try {
    checkpoint = await openModel(options.model, options);
  } catch (error) {
    const found = await unreadable(error, options);
    if (found) return found;
    throw error;
  }
  try {
    return describe({ ...checkpoint, tensors: [...checkpoint.tensors.values()] });
  } finally {
    await checkpoint.close();
  }
}

/** What the headers of a single file say that is no model for any reader here, and why it is not. */
async function unreadable(
  error: unknown,
  options: { model: string; registry: Registry; backend: Backend } & RunOptions,
): Promise<ModelInspection | undefined> {
  const fits = CalibrantError.isInstance(error) && ['UNSUPPORTED', 'CORRUPT_FILE', 'SHAPE_MISMATCH'].includes(error.code);
  const file = fits ? await singleFile(options.model) : undefined;
  if (!fits || file === undefined) return undefined;
  const source = await openSingleFile(file, options.signal);
  try {
    for (const format of options.registry.list('format')) {
      const found = await format.reader?.inspectFile?.(source, options).catch(() => undefined);
      if (found) return { ...describe({ ...found, name: file, files: [] }), note: error.message };
    }
    return undefined;
  } finally {
    await source.close();
  }
}

function describe(model: Pick<Checkpoint, 'name' | 'config' | 'files'> & { readonly tensors: readonly TensorInfo[] }): ModelInspection {
  const { name, config, files } = model;
  const tensors = model.tensors.map(({ name, storage, dtype, shape, bytes, file }) => ({
    name,
    type: storage ?? dtype,
    shape,
    bytes,
    file,
  }));
  const parameters = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
  const types = new Map<string, { type: string; tensors: number; parameters: number; bytes: number }>();
  for (const tensor of tensors) {
    const entry = types.get(tensor.type) ?? { type: tensor.type, tensors: 0, parameters: 0, bytes: 0 };
    entry.tensors++;
    entry.parameters += elementCount(tensor.shape);
    entry.bytes += tensor.bytes;
    types.set(tensor.type, entry);
  }
  return {
    name,
    architecture: String((config.architectures as string[] | undefined)?.[0] ?? config.model_type ?? 'unknown'),
    parameters,
    bytes,
    bitsPerWeight: parameters === 0 ? 0 : (8 * bytes) / parameters,
    shape: Object.fromEntries(
      Object.entries(SHAPE_KEYS).flatMap(([key, label]) => {
        const value = config[key];
        return typeof value === 'number' || typeof value === 'string' ? [[label, value]] : [];
      }),
    ),
    types: [...types.values()].sort((a, b) => b.bytes - a.bytes),
    tensors,
    files,
  };
}
