import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CalibrantError, type Checkpoint } from '@calibrant/core';
import { fileError } from '../files/file-error.node.js';
import { INDEX_FILE } from '../safetensors/index-file.js';
import { readSafetensorsTensor } from '../safetensors/read-tensor.js';
import { missingWeights } from './missing-weights.js';
import { openShards } from './shards.node.js';

/** A checkpoint in a local folder. */
export interface ModelFolder extends Checkpoint {
  readonly path: string;
  bytes(file: string): Promise<Uint8Array | undefined>;
}

export interface ModelFolderOptions {
  /** For messages and reports in place of the path, such as a Hub id. */
  readonly name?: string;
}

/** Weights, and what training leaves beside them: not side files of the model. */
const WEIGHT_FILE = /\.(safetensors|bin|pt|pth|ckpt|gguf|onnx|h5|msgpack|ot|onnx_data|npz)$|^model\.safetensors\.index\.json$/i;
/** No configuration or tokenizer comes near this. */
const MAX_SIDE_FILE_BYTES = 256 * 2 ** 20;

/**
 * Opens a model folder in Hugging Face's layout: `config.json`, `model.safetensors` or shards with `model.safetensors.index.json`, and
 * side files. Headers are read and checked (a shard that is cut off is found here); tensors are read when asked for, in their stored type.
 *
 * @throws CalibrantError `NOT_FOUND` for what is missing, `UNSUPPORTED` for other weight formats, `CORRUPT_FILE` for damaged files.
 * @example
 * const model = await openModelFolder('models/SmolLM2-135M');
 * const firstRows = await model.read('model.embed_tokens.weight', { start: 0, end: 16 });
 * await model.close();
 */
export async function openModelFolder(path: string, { name = path }: ModelFolderOptions = {}): Promise<ModelFolder> {
  const entries = await listFiles(path);
  const files = entries.filter((file) => !WEIGHT_FILE.test(file)).sort();
  const bytes = (file: string) => (files.includes(file) ? readSideFile(join(path, file)) : Promise.resolve(undefined));
  const text = async (file: string) => {
    const found = await bytes(file);
    return found && decode(join(path, file), found);
  };
  const config = parseConfig(path, await text('config.json'));
  if (!entries.includes(INDEX_FILE) && !entries.includes('model.safetensors')) throw missingWeights(path, entries);
  const { shards, tensors, entryOf } = await openShards(path, entries, config);

  return {
    name,
    path,
    config,
    tensors,
    files,
    text,
    bytes,
    async read(tensorName, range) {
      const found = entryOf(tensorName);
      if (!found) throw new CalibrantError('NOT_FOUND', `${name} has no tensor "${tensorName}".`, { file: path, tensor: tensorName });
      return readSafetensorsTensor(found.source, found.entry, range);
    },
    async close() {
      await Promise.all(shards.map((shard) => shard.close()));
    },
  };
}

async function listFiles(path: string): Promise<string[]> {
  const stats = await stat(path).catch((cause) => {
    if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')
      throw new CalibrantError(
        'NOT_FOUND',
        `There is no model folder ${path}. Check the path, or name a Hub model as hf:organisation/name.`,
        {
          file: path,
          cause,
        },
      );
    throw fileError('Opening', path, cause);
  });
  if (!stats.isDirectory())
    throw new CalibrantError('INVALID_ARGUMENT', `${path} is a file. Name the folder that holds config.json and the weights.`, {
      file: path,
    });
  return readdir(path).catch((cause) => {
    throw fileError('Listing', path, cause);
  });
}

async function readSideFile(file: string): Promise<Uint8Array | undefined> {
  try {
    const stats = await stat(file);
    if (!stats.isFile()) return undefined;
    if (stats.size > MAX_SIDE_FILE_BYTES)
      throw new CalibrantError('CORRUPT_FILE', `${file} has ${stats.size} bytes; ${MAX_SIDE_FILE_BYTES} is the limit for a side file.`, {
        file,
      });
    return new Uint8Array(await readFile(file));
  } catch (cause) {
    throw fileError('Reading', file, cause);
  }
}

function decode(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new CalibrantError('CORRUPT_FILE', `${file} is not UTF-8 text. Read it as bytes, or download it again.`, { file, cause });
  }
}

function parseConfig(path: string, text: string | undefined): Record<string, unknown> {
  const file = join(path, 'config.json');
  if (text === undefined)
    throw new CalibrantError(
      'NOT_FOUND',
      `${path} has no config.json, so it is not a model folder. Name the folder that holds config.json and the weights.`,
      { file },
    );
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    throw new CalibrantError('CORRUPT_FILE', `${file} is not valid JSON: ${(cause as Error).message}. Download it again.`, { file, cause });
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw new CalibrantError('CORRUPT_FILE', `${file} must hold a JSON object. Download it again.`, { file });
  return config as Record<string, unknown>;
}
