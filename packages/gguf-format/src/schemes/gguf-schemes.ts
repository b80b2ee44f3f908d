import { defineScheme, type Scheme, type TensorScheme } from '@calibrant/core';
import { z } from 'zod';
import type { BlockTypeName } from '../blocks/block-types.js';
import { type Mixture, mixtureTypes } from './mixture.js';
import { isQuantizable, schemeOf, typeForRow } from './tensor-types.js';

const options = z.strictObject({
  pure: z.boolean().default(false).describe('Give every quantized tensor the base type, also the output layer'),
});

type Options = z.output<typeof options>;

const SOURCE = 'https://github.com/ggml-org/llama.cpp/tree/master/tools/quantize';

function scheme(name: string, description: string, mixture: Mixture, aliases: readonly string[] = []): Scheme<Options> {
  return defineScheme<Options>({
    name,
    aliases,
    meta: { description, source: SOURCE, package: '@calibrant/gguf-format' },
    options,
    assign(tensors, facts, { pure }) {
      const types = pure
        ? new Map(tensors.filter(isQuantizable).map((tensor) => [tensor.name, typeForRow(mixture.base, tensor.shape.at(-1) ?? 1)]))
        : mixtureTypes(tensors, facts, mixture);
      return assigned(tensors.map((tensor) => [tensor.name, types.get(tensor.name)]));
    },
  });
}

function single(name: BlockTypeName, description: string): Scheme<Record<string, never>> {
  return defineScheme<Record<string, never>>({
    name,
    meta: { description, source: SOURCE, package: '@calibrant/gguf-format' },
    options: z.strictObject({}),
    assign: (tensors) =>
      assigned(tensors.map((tensor) => [tensor.name, isQuantizable(tensor) ? typeForRow(name, tensor.shape.at(-1) ?? 1) : undefined])),
  });
}

function assigned(types: readonly (readonly [string, BlockTypeName | undefined])[]): Map<string, TensorScheme | undefined> {
  return new Map(types.map(([name, type]) => [name, type && schemeOf(type)]));
}

/**
 * The schemes of GGUF. `Q4_K_M`, `Q4_K_S`, `Q4_0`, `Q5_0`, `Q6_K` and `Q8_0` give each tensor the type that llama-quantize gives it under this name
 * (the output layer, or a tied embedding, becomes Q6_K unless the base is Q8_0); their option `pure` leaves such rules out. `Q4_K` and `Q5_K` are one type for
 * all matrices. `F16`, `BF16` and `F32` store floats. Norms and biases stay F32. Where 256 does not divide a row, Q4_K becomes
 * Q5_0 and Q6_K becomes Q8_0, as in llama.cpp; where 32 does not either, F16.
 */
export function ggufSchemes(): Scheme<any>[] {
  return [
    scheme('Q4_K_M', '4.5-bit super-blocks, with Q6_K for the output and half of the value and down projections', {
      base: 'Q4_K',
      more: 'spread',
    }),
    scheme('Q4_K_S', '4.5-bit super-blocks, with Q6_K for the output and Q5_K for the first value and down projections', {
      base: 'Q4_K',
      more: 'first',
    }),
    scheme('Q4_0', '4-bit blocks of 32 with one scale', { base: 'Q4_0' }),
    scheme('Q5_0', '5-bit blocks of 32 with one scale', { base: 'Q5_0' }),
    scheme('Q6_K', '6-bit super-blocks of 256', { base: 'Q6_K' }),
    scheme('Q8_0', '8-bit blocks of 32 with one scale', { base: 'Q8_0' }),
    single('Q4_K', '4.5-bit super-blocks for all matrices'),
    single('Q5_K', '5.5-bit super-blocks for all matrices'),
    single('F16', 'half precision'),
    single('BF16', 'bfloat16'),
    single('F32', 'single precision'),
  ];
}
