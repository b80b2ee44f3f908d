import { defineScheme, type Scheme } from '@calibrant/core';
import { z } from 'zod';
import { BLOCK_TYPES, type BlockTypeName } from '../blocks/block-types.js';
import { assignTypes, type Fallback, type TypeChoices } from './assign-types.js';
import type { Mixture } from './mixture.js';
import { MIXTURES } from './mixtures.js';
import { needsImportance } from './needs-importance.js';
import { SEARCHES, schemeOf } from './tensor-types.js';

const typeName = z.enum(Object.keys(BLOCK_TYPES) as [BlockTypeName, ...BlockTypeName[]]);
const choices = {
  search: z
    .enum(SEARCHES)
    .default('ggml')
    .describe('How blocks are searched: ggml for the bytes of ggml, refined for a longer search with less error in the same bytes'),
  noFallback: z
    .boolean()
    .default(false)
    .describe('Fail where the blocks of a type do not divide the rows of a tensor, instead of taking another type for it'),
  outputTensorType: typeName.optional().describe('Type of the output layer'),
  tokenEmbeddingType: typeName.optional().describe('Type of the embedding'),
  tensorTypes: z
    .record(z.string(), typeName)
    .optional()
    .describe('Regular expressions of tensor names, each with a type; the first that matches counts'),
};
const single = z.strictObject(choices);
const mixed = z.strictObject({
  pure: z.boolean().default(false).describe('Give every quantized tensor the base type, also the output layer'),
  ...choices,
});

const SOURCE = 'https://github.com/ggml-org/llama.cpp/tree/master/tools/quantize';

function scheme<Options extends TypeChoices>(mixture: Mixture, options: z.ZodType<Options>, always: TypeChoices = {}): Scheme<Options> {
  const { name, description } = mixture;
  return defineScheme<Options>({
    name,
    meta: { description, source: SOURCE, package: '@calibrant/gguf-format' },
    options,
    assign(tensors, facts, chosen, warn) {
      const fallbacks: Fallback[] = [];
      const types = assignTypes(tensors, facts, mixture, { ...chosen, ...always }, (fallback) => fallbacks.push(fallback));
      if (fallbacks.length > 0) warn?.(fallbackWarning(fallbacks, types.size));
      if (ALIASES.has(name) && !chosen.pure)
        warn?.(`${name} is one type for all matrices here; what llama-quantize calls ${name} is the mixture ${name}_M.`);
      return new Map(
        tensors.map((tensor) => {
          const type = types.get(tensor.name);
          return [
            tensor.name,
            type && schemeOf(type, { needsImportance: needsImportance(mixture, tensor.name, type), search: chosen.search }),
          ];
        }),
      );
    },
  });
}

function fallbackWarning([first, ...others]: readonly Fallback[], tensors: number): string {
  const { tensor, wanted, taken } = first;
  const columns = tensor.shape.at(-1);
  return `${others.length + 1} of ${tensors} tensors have rows that the blocks of their type do not divide, and take another type, such as ${tensor.name} (${columns} columns) ${taken} instead of ${wanted}. --no-fallback refuses them.`;
}

/** Names that llama-quantize gives to mixtures. */
const ALIASES = new Set(['Q3_K', 'Q4_K', 'Q5_K']);

/** One type for all matrices. */
const SINGLE: readonly (readonly [BlockTypeName, string])[] = [
  ['Q3_K', '3.4-bit super-blocks for all matrices'],
  ['Q4_K', '4.5-bit super-blocks for all matrices'],
  ['Q5_K', '5.5-bit super-blocks for all matrices'],
  ['MXFP4', '4-bit floats in blocks of 32 with a power of two, for all matrices'],
  ['NVFP4', '4-bit floats in blocks of 16 with an 8-bit float, for all matrices'],
  ['F16', 'half precision'],
  ['BF16', 'bfloat16'],
  ['F32', 'single precision'],
];

/**
 * The schemes of GGUF. Those with the name of a file type of llama-quantize give each tensor the type that llama-quantize gives it; their option
 * `pure` leaves its exceptions out. `Q3_K`, `Q4_K`, `Q5_K`, `MXFP4` and `NVFP4` are one type for all matrices; `F16`, `BF16` and `F32` store floats.
 * Norms, biases and the gates of experts stay as they are. Where a type's blocks do not divide a row, the next type of llama.cpp takes its place, or F16.
 */
export function ggufSchemes(): Scheme<any>[] {
  return [
    ...MIXTURES.map((mixture) => scheme(mixture, mixed)),
    ...SINGLE.map(([name, description]) => scheme({ name, fileType: 0, description, base: name }, single, { pure: true })),
  ];
}
