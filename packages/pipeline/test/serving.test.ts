import {
  type ModelFacts,
  type PlannedTensor,
  parseAffineScheme,
  parseMinifloatScheme,
  parseRecipe,
  type TensorScheme,
} from '@calibrant/core';
import { servingWarnings } from '@calibrant/pipeline';
import { describe, expect, it } from '@jest/globals';

const FLOAT: TensorScheme = { kind: 'float', dtype: 'bf16' };
const grid = (name: string) => parseAffineScheme(name) ?? parseMinifloatScheme(name) ?? FLOAT;

interface Sizes {
  readonly hidden: number;
  readonly mlp: number;
  readonly heads: number;
  readonly keyValue: number;
}

/** Qwen2-72B: 29568 / 128 = 231 groups, which is odd. */
const QWEN_72B: Sizes = { hidden: 8192, mlp: 29568, heads: 64, keyValue: 1024 };
const LLAMA_8B: Sizes = { hidden: 4096, mlp: 14336, heads: 32, keyValue: 1024 };

function warnings(
  sizes: Sizes,
  schemeOf: (role: string) => TensorScheme,
  { format = 'gptq', gpus = [], recipe = {} }: { format?: string; gpus?: number[]; recipe?: object } = {},
): string[] {
  const { hidden, mlp, keyValue } = sizes;
  const roles: Record<string, [number, number]> = {
    'self_attn.q_proj': [hidden, hidden],
    'self_attn.k_proj': [keyValue, hidden],
    'self_attn.v_proj': [keyValue, hidden],
    'self_attn.o_proj': [hidden, hidden],
    'mlp.gate_proj': [mlp, hidden],
    'mlp.up_proj': [mlp, hidden],
    'mlp.down_proj': [hidden, mlp],
  };
  const plan = [0, 1].flatMap((block) =>
    Object.entries(roles).map(([role, shape]): PlannedTensor => {
      const name = `model.layers.${block}.${role}.weight`;
      return { name, source: name, shape, scheme: schemeOf(role) };
    }),
  );
  plan.push({ name: 'lm_head.weight', source: 'lm_head.weight', shape: [32000, hidden], scheme: schemeOf('lm_head') });
  const facts: ModelFacts = {
    config: { num_attention_heads: sizes.heads },
    architecture: 'llama',
    tensors: new Map(),
    linears: new Set(plan.map(({ name }) => name)),
  };
  return servingWarnings(plan, facts, format, { recipe: parseRecipe(recipe), gpus });
}

const blocks = (name: string) => (role: string) => (role === 'lm_head' ? FLOAT : grid(name));

describe('splitting over GPUs', () => {
  it('names the layer whose groups do not divide, with the numbers and the group sizes that would', () => {
    expect(warnings(QWEN_72B, blocks('int4-g128-sym'), { gpus: [2] })).toEqual([
      'TP=2 will not load in vLLM: the 231 groups of 128 inputs of mlp.down_proj [8192, 29568] (2 layers) do not divide by 2; groups of 64 or 32 would.',
    ]);
  });

  it('knows the sizes that kernels work on: 29568 / 2 inputs are no multiple of 128 even with one scale per row', () => {
    expect(warnings(QWEN_72B, blocks('int4-channel-sym'), { gpus: [2] })).toEqual([
      'TP=2 will not load in vLLM: mlp.down_proj [8192, 29568] (2 layers) leaves 14784 inputs for each GPU, no multiple of 128.',
    ]);
  });

  it('finds nothing for a model that is often served so', () => {
    expect(warnings(LLAMA_8B, blocks('int4-g128-sym'), { gpus: [2, 4, 8] })).toEqual([]);
    expect(warnings(LLAMA_8B, blocks('fp8-block'), { format: 'compressed-tensors', gpus: [2, 4] })).toEqual([]);
  });

  it('counts heads, and the blocks of 8-bit floats', () => {
    const odd = { ...LLAMA_8B, heads: 36 };
    expect(warnings(odd, blocks('fp8-channel'), { format: 'compressed-tensors', gpus: [8] })).toEqual([
      'TP=8 will not load in vLLM: its 36 attention heads do not divide by 8.',
    ]);
    expect(warnings(QWEN_72B, blocks('fp8-block'), { format: 'compressed-tensors', gpus: [2] })[0]).toMatch(/231 groups of 128 inputs/);
  });
});

describe('one GPU', () => {
  it('members of fused layers need one grid', () => {
    const mixed = (role: string) => (role === 'self_attn.v_proj' ? grid('int8-g128-sym') : blocks('int4-g128-sym')(role));
    expect(warnings(LLAMA_8B, mixed)).toEqual([
      'vLLM and SGLang load q_proj int4-g128-sym, k_proj int4-g128-sym, v_proj int8-g128-sym as one matrix, which needs one grid (2 blocks). Give them the same scheme, or keep all of them.',
    ]);
    const kept = (role: string) => (role === 'mlp.up_proj' ? FLOAT : blocks('int4-g128-sym')(role));
    expect(warnings(LLAMA_8B, kept)[0]).toMatch(/gate_proj int4-g128-sym, up_proj unquantized as one matrix/);
  });

  it.each([
    ['int4-g128-asym', 'gptq', /older kernel alone/],
    ['int3-g128-sym', 'gptq', /older kernel alone/],
    ['int3-g128-sym', 'compressed-tensors', /releases of 2026/],
    ['int4-g16-sym', 'compressed-tensors', /groups of 32, 64 or 128 inputs or one scale per row, not 16/],
  ])('%s in %s: kernels are named', (scheme, format, message) => {
    expect(warnings(LLAMA_8B, blocks(scheme), { format })[0]).toMatch(message);
  });

  it('sizes that the fast kernels do not take, a quantized output projection, scattered groups', () => {
    expect(warnings({ ...LLAMA_8B, mlp: 11008 + 16 }, blocks('int4-g16-sym'))[1]).toMatch(
      /gate_proj \[11024, 4096\] \(2 layers\) will run slower/,
    );
    expect(warnings(LLAMA_8B, () => grid('int4-g128-sym'))).toEqual([expect.stringMatching(/^lm_head is quantized as int4-g128-sym/)]);
    const recipe = { quantizer: { name: 'gptq', options: { actOrder: 'full' } } };
    expect(warnings(LLAMA_8B, blocks('int4-g128-sym'), { recipe })).toEqual([expect.stringMatching(/^actOrder=full scatters groups/)]);
  });

  it('GGUF is served by others', () => {
    expect(warnings(QWEN_72B, blocks('int4-g128-sym'), { format: 'gguf', gpus: [2] })).toEqual([]);
  });
});

describe('quantized inputs', () => {
  const found = (scheme: string, activations: string, keepActivations: string[] = []) =>
    warnings(LLAMA_8B, blocks(scheme), { format: 'compressed-tensors', recipe: { activations, keepActivations } }).filter((line) =>
      line.includes('with inputs in'),
    );

  it.each([
    ['int8-channel-sym', 'int8-token'],
    ['int8-channel-sym', 'int8-token-asym'],
    ['int8-channel-sym', 'int8-tensor-static'],
    ['int8-tensor-sym', 'int8-token'],
    ['fp8-channel', 'fp8-token'],
    ['fp8-tensor', 'fp8-tensor-static'],
    ['int4-g128-sym', 'int8-token'],
    ['int4-channel-sym', 'int8-token'],
    ['int4-g128-sym', 'fp8-token'],
  ])('in %s with %s have a kernel', (scheme, activations) => {
    expect(found(scheme, activations)).toEqual([]);
  });

  it.each([
    ['int4-g128-sym', 'int4-token'],
    ['int4-g128-asym', 'int8-token'],
    ['int4-channel-sym', 'fp8-token'],
    ['int4-g128-sym', 'int8-tensor-static'],
    ['int8-g128-sym', 'int8-token'],
    ['int8-channel-asym', 'int8-token'],
    ['int8-channel-sym', 'fp8-token'],
    ['int8-channel-sym', 'int8-tensor'],
    ['fp8-channel', 'int8-token'],
  ])('in %s with %s are warned about, naming both and what is taken', (scheme, activations) => {
    const [warning, ...more] = found(scheme, activations);
    expect(warning).toContain(`in ${scheme} with inputs in ${activations}. It takes int8`);
    expect(more).toEqual([]);
  });

  it('are not looked for where inputs stay in floating point', () => {
    expect(found('int4-g128-sym', 'int4-token', ['*'])).toEqual([]);
  });
});
