import { CalibrantError, defineFormat, type FormatInput, type PlannedTensor } from '@calibrant/core';
import { z } from 'zod';
import { BLOCK_TYPES, type BlockTypeName } from '../blocks/block-types.js';
import { inspectGgufFile } from '../checkpoint/inspect-file.js';
import { openGgufFile } from '../checkpoint/open-gguf-checkpoint.js';
import { exactIntegers } from '../grids/block-integers.js';
import { imatrixFiles } from '../imatrix/imatrix-files.js';
import { runtimeNotes } from '../models/runtime-notes.js';
import { compareTensorNames } from '../models/tensor-names.js';
import { textModel } from '../models/text-model.js';
import { isQuantizable, schemeOf, typeForRow, typeOfScheme } from '../schemes/tensor-types.js';
import { vocabularyRows } from '../tokenizer/tokenizer-keys.js';
import { fileMetadata } from './file-metadata.js';
import { defaultFileName } from './file-names.js';
import { metadataSchema } from './metadata-overrides.js';
import { ggufOutputs } from './outputs.js';
import { type PartFile, partFiles, partWriter } from './part-files.js';
import { tensorWriter } from './tensor-writer.js';

/** Between two tensors, at the usual alignment of 32. */
const MOST_PADDING = 31;

const options = z.strictObject({
  floatType: z
    .enum(['auto', 'f32', 'f16', 'bf16'])
    .default('auto')
    .describe('Float type of matrices that the scheme leaves alone; auto keeps the type of the source'),
  pre: z.string().min(1).optional().describe("llama.cpp's name of the pre-tokenizer, where tokenizer.json does not tell"),
  tokenizer: z.enum(['required', 'none']).default('required').describe('none writes a file without a vocabulary'),
  fileName: z
    .string()
    .regex(/^[^/\\]+\.gguf$/, 'must be a plain name that ends in .gguf')
    .optional()
    .describe('Name of the file in the output folder; else NAME-SCHEME.gguf'),
  name: z.string().min(1).optional().describe("The model's name in the file's metadata; else the last part of the source's"),
  metadata: metadataSchema,
  splitMaxSize: z
    .string()
    .regex(/^\d+(\.\d+)?\s*([kmgt]i?)?b?$/i, 'must be a size such as 2GB, 500M or a number of bytes')
    .optional()
    .describe('Write several files with at most so much tensor data each: 2GB, 500M'),
  splitMaxTensors: z.number().int().min(1).optional().describe('Write several files with at most so many tensors each'),
  keepSplit: z.boolean().optional().describe("Write as many files as the source has, each with its source's tensors"),
});

export type GgufFormatOptions = z.output<typeof options>;

/**
 * The GGUF format, version 3: one file with weights, sizes, tokenizer and chat template that llama.cpp loads. Converts checkpoints of
 * llama.cpp's architectures in the README's table; reads such files back as checkpoints in f32.
 *
 * @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 * @example
 * const registry = createRegistry([ggufFormat(), ggufSchemes()]);
 */
export function ggufFormat() {
  return defineFormat<GgufFormatOptions>({
    name: 'gguf',
    meta: {
      description: 'One GGUF file for llama.cpp and what is built on it',
      source: 'https://github.com/ggml-org/ggml/blob/master/docs/gguf.md',
      package: '@calibrant/gguf-format',
    },
    options,
    lmHead: 'its mixtures give the output projection a type by themselves; --output-tensor-type chooses another',
    accepts(scheme) {
      if (typeOfScheme(scheme)) return true;
      return `GGUF has no type for ${scheme.kind === 'affine' ? 'integer grids with free group sizes' : `"${scheme.kind === 'block' ? scheme.type : scheme.dtype}"`}; choose one of ${Object.keys(BLOCK_TYPES).join(', ')} or a mixture such as Q4_K_M.`;
    },
    exact({ scheme, ordered }) {
      if (scheme.kind !== 'affine' || ordered || (scheme.groupSize ?? 32) % 32 !== 0) return undefined;
      const type = exactIntegers(scheme.bits, scheme.symmetric);
      return type && schemeOf(type);
    },
    async outputs({ checkpoint }, { tokenizer }) {
      const text = textModel(checkpoint);
      return ggufOutputs(text, tokenizer === 'none' ? undefined : await vocabularyRows(text));
    },
    floatScheme(tensor, facts, { floatType }) {
      if (!isQuantizable(tensor)) return schemeOf('F32');
      const source = floatType === 'auto' ? facts.tensors.get(tensor.source ?? tensor.stacked?.[0] ?? '')?.dtype : floatType;
      return schemeOf(source === 'f16' ? 'F16' : source === 'bf16' ? 'BF16' : 'F32');
    },
    async bytesBeside(input, plan, chosen) {
      const files = await plannedFiles(input, plan, chosen);
      return files.reduce((sum, { layout }) => sum + layout.header.length, MOST_PADDING * plan.length);
    },
    async open(input, plan, folder, chosen, { onEvent }) {
      for (const warning of runtimeNotes(input.checkpoint)) onEvent?.({ warning, item: 'gguf' });
      const files = await plannedFiles(input, plan, chosen);
      return tensorWriter(
        partWriter(files, folder),
        files.map(({ name }) => name),
      );
    },
    reader: { openFile: openGgufFile, inspectFile: inspectGgufFile },
    importance: imatrixFiles,
  });
}

async function plannedFiles(input: FormatInput, plan: readonly PlannedTensor[], chosen: GgufFormatOptions): Promise<PartFile[]> {
  const tensors = [...plan]
    .sort((a, b) => compareTensorNames(a.name, b.name))
    .map((planned) => ({ ...planned, type: storedType(planned) }));
  const metadata = await fileMetadata(input, tensors, chosen);
  return partFiles(tensors, metadata, chosen.fileName ?? defaultFileName(input, chosen), chosen, input.checkpoint);
}

function storedType(planned: PlannedTensor) {
  const type = typeOfScheme(planned.scheme);
  const columns = planned.shape.at(-1) ?? 1;
  if (!type)
    throw new CalibrantError(
      'UNSUPPORTED',
      `GGUF has no type for the ${planned.scheme.kind} scheme planned for tensor "${planned.name}".`,
      {
        tensor: planned.name,
      },
    );
  if (columns % type.blockSize !== 0)
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `Tensor "${planned.name}" has rows of ${columns} elements, which ${type.name} blocks of ${type.blockSize} do not divide; ${typeForRow(type.name as BlockTypeName, columns)} would fit.`,
      { tensor: planned.name },
    );
  return type;
}
