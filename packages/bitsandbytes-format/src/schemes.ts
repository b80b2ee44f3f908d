import { type BlockScheme, defineScheme, type ModelFacts, type OutputTensor, type Scheme, type TensorScheme } from '@calibrant/core';
import { z } from 'zod';
import { BLOCK_SIZES, fourBitScheme, parseFourBitName } from './grids/four-bit.js';
import { int8Scheme } from './grids/int8-rows.js';

const SOURCE = 'https://github.com/bitsandbytes-foundation/bitsandbytes';

const fourBitOptions = z.strictObject({
  blockSize: z
    .literal([...BLOCK_SIZES])
    .default(64)
    .describe('Weights that share a magnitude; -g128 in the name says the same'),
  doubleQuant: z
    .boolean()
    .default(false)
    .describe('Store the magnitudes in 8 bits, which saves 0.37 bits per weight with blocks of 64; -dq in the name says the same'),
});

export type FourBitOptions = z.output<typeof fourBitOptions>;

/**
 * The grids of bitsandbytes for the weights of linear layers inside blocks: `nf4` and `fp4`, also as `nf4-g128`, `nf4-dq` or `nf4-g128-dq`, and `llm-int8`.
 */
export function bitsandbytesSchemes(): Scheme<any>[] {
  return [
    fourBit('nf4', 'bitsandbytes NormalFloat 4: values spaced for weights of a normal distribution (nf4, nf4-g128, nf4-dq)'),
    fourBit('fp4', 'bitsandbytes 4-bit floats (fp4, fp4-g128, fp4-dq)'),
    defineScheme({
      name: 'llm-int8',
      meta: {
        description: 'bitsandbytes LLM.int8(): 8 bits with one magnitude per row',
        source: 'https://arxiv.org/abs/2208.07339',
        package: '@calibrant/bitsandbytes-format',
      },
      options: z.strictObject({}),
      assign: (tensors, facts) => ofLinears(tensors, facts, ({ shape }) => int8Scheme(shape.at(-1) ?? 1)),
    }),
  ];
}

function fourBit(quantType: 'nf4' | 'fp4', description: string): Scheme<FourBitOptions> {
  return defineScheme<FourBitOptions>({
    name: quantType,
    meta: { description, source: SOURCE, package: '@calibrant/bitsandbytes-format' },
    options: fourBitOptions,
    optionsOfName(name) {
      const form = parseFourBitName(name);
      return form?.quantType === quantType ? { blockSize: form.blockSize, doubleQuant: form.doubleQuant } : undefined;
    },
    assign: (tensors, facts, options) => ofLinears(tensors, facts, () => fourBitScheme({ quantType, ...options })),
  });
}

function ofLinears(
  tensors: readonly OutputTensor[],
  { linears }: ModelFacts,
  schemeOf: (tensor: OutputTensor) => BlockScheme,
): ReadonlyMap<string, TensorScheme | undefined> {
  return new Map(tensors.map((tensor) => [tensor.name, tensor.source && linears.has(tensor.source) ? schemeOf(tensor) : undefined]));
}
