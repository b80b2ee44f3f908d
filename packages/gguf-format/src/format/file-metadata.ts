import { elementCount, type FormatInput, type OutputTensor } from '@calibrant/core';
import type { BlockTypeName } from '../blocks/block-types.js';
import { ggufOrigin } from '../checkpoint/gguf-origin.js';
import { type GgufMetadata, type GgufValue, value } from '../file/metadata.js';
import { architectureOfModelType } from '../models/architectures.js';
import { readModelConfig } from '../models/model-config.js';
import { modelKeys, sizeLabel } from '../models/model-keys.js';
import { textModel } from '../models/text-model.js';
import { tokenizerKeys } from '../tokenizer/tokenizer-keys.js';
import { lastPart, schemeName } from './file-names.js';
import { fileType } from './file-type.js';
import type { GgufFormatOptions } from './gguf-format.js';
import { metadataOverrides } from './metadata-overrides.js';

type Typed = OutputTensor & { readonly type: { readonly name: string } };

/**
 * The metadata of a file: that of the GGUF file which the model comes from, or made from config.json and tokenizer.json; then, at the end as in
 * llama-quantize, what this conversion says of itself and what the options replace.
 */
export async function fileMetadata(input: FormatInput, tensors: readonly Typed[], options: GgufFormatOptions): Promise<GgufMetadata> {
  const typed = tensors.map((tensor) => ({ ...tensor, type: tensor.type.name as BlockTypeName }));
  const metadata = new Map(copied(input, options) ?? (await converted(input, tensors, options)));
  const own: [string, GgufValue][] = [
    ['general.quantization_version', value.u32(2)],
    ['general.file_type', value.u32(fileType(typed, schemeName(input.recipe)))],
    ...metadataOverrides(options.metadata),
    ...importanceKeys(input.importance),
  ];
  for (const [key, of] of own) {
    metadata.delete(key);
    metadata.set(key, of);
  }
  return metadata;
}

/** What belongs to one file of a split model, or to how a file was quantized. */
const NOT_COPIED = /^(split\.(no|count|tensors\.count)|quantize\.imatrix\..+)$/;

/** The metadata of the source, where that is a GGUF file; a name and a pre-tokenizer may replace its own. */
function copied({ checkpoint }: FormatInput, { name, pre, tokenizer }: GgufFormatOptions): Map<string, GgufValue> | undefined {
  const source = ggufOrigin(checkpoint)?.metadata;
  if (!source) return undefined;
  const keep = (key: string) => !NOT_COPIED.test(key) && (tokenizer === 'required' || !key.startsWith('tokenizer.'));
  const metadata = new Map([...source].filter(([key]) => keep(key)));
  if (tokenizer === 'none') metadata.set('tokenizer.ggml.model', value.string('none'));
  if (name !== undefined) metadata.set('general.name', value.string(name));
  if (pre !== undefined) metadata.set('tokenizer.ggml.pre', value.string(pre));
  return metadata;
}

async function converted(
  { checkpoint: source }: FormatInput,
  tensors: readonly Typed[],
  { pre, tokenizer, name }: GgufFormatOptions,
): Promise<[string, GgufValue][]> {
  const checkpoint = textModel(source);
  const architecture = architectureOfModelType(checkpoint.config['model_type'], checkpoint.name);
  const read = readModelConfig(checkpoint.config, architecture, checkpoint.name);
  const config = { ...read, vocabSize: tensors.find((planned) => planned.name === 'token_embd.weight')?.shape[0] ?? read.vocabSize };
  const parameters = tensors.reduce((sum, { constant, shape }) => sum + (constant ? 0 : elementCount(shape)), 0);
  return [
    ['general.architecture', value.string(architecture.name)],
    ['general.type', value.string('model')],
    ['general.name', value.string(name ?? lastPart(checkpoint.name))],
    ['general.size_label', value.string(sizeLabel(parameters))],
    ...modelKeys(architecture, config, checkpoint.config),
    ...(tokenizer === 'none'
      ? [['tokenizer.ggml.model', value.string('none')] as [string, GgufValue]]
      : await tokenizerKeys(checkpoint, config.vocabSize, pre)),
  ];
}

/** llama.cpp keeps no more characters of the text's name. */
const LONGEST_DATASET = 127;

/** llama-quantize's keys about the importance matrix that it used. */
function importanceKeys(importance: FormatInput['importance']): [string, GgufValue][] {
  if (!importance) return [];
  return [
    ['quantize.imatrix.file', value.string(importance.file)],
    ...(importance.dataset === undefined
      ? []
      : [['quantize.imatrix.dataset', value.string(importance.dataset.slice(0, LONGEST_DATASET))] as [string, GgufValue]]),
    ['quantize.imatrix.entries_count', value.u32(importance.entries)],
    ['quantize.imatrix.chunks_count', value.u32(importance.chunks)],
  ];
}
