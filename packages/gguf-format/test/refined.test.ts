import { createRng, type ModelFacts, type Tensor, tensor } from '@calibrant/core';
import { BLOCK_TYPES, type BlockTypeName, blockScheme, ggufSchemes } from '@calibrant/gguf-format';
import { runWasm } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { REFINED_TYPES } from '../src/blocks/refined.js';
import { DISTRIBUTIONS, uniform } from './odd-rows.js';

type Inputs = Record<'x' | 'importance', Tensor>;
const COLUMNS = 256;
const names = REFINED_TYPES as readonly BlockTypeName[];
const whole = (rows: number) => ({ start: 0, end: rows });

function encoders(name: BlockTypeName) {
  const scheme = blockScheme(name, { search: 'refined' });
  if (scheme.kind !== 'block') throw new Error(`${name} has no blocks.`);
  return { refined: scheme.encode, ...BLOCK_TYPES[name] };
}

function inputsOf(x: Float32Array, importance?: Float32Array): Inputs {
  return {
    x: tensor('f32', [x.length / COLUMNS, COLUMNS], x),
    ...(importance ? { importance: tensor('f32', [COLUMNS], importance) } : {}),
  } as Inputs;
}

/** `Σ w (decoded − x)²` of each block, in f64. */
function errors(name: BlockTypeName, blocks: Tensor, { x, importance }: Inputs): number[] {
  const { decode, blockSize } = BLOCK_TYPES[name];
  const y = decode.reference({ blocks }, {}, whole(blocks.shape[0])).x.data;
  const sums = new Array<number>(y.length / blockSize).fill(0);
  for (let i = 0; i < y.length; i++)
    sums[Math.floor(i / blockSize)] += Number(importance?.data[i % COLUMNS] ?? 1) * (Number(y[i]) - Number(x.data[i])) ** 2;
  return sums;
}

const bell = (seed: number, count: number) => {
  const random = createRng(seed);
  return Float32Array.from({ length: count }, () => 0.02 * random.normal());
};
const positive = (seed: number) => {
  const random = createRng(seed);
  return Float32Array.from({ length: COLUMNS }, () => Math.exp(2 * random.normal()));
};

describe.each(names)('the refined search of %s', (name) => {
  const { encode, refined } = encoders(name);

  it('finds the same blocks in WebAssembly as in the reference, never worse ones than ggml, for rows of any distribution', () => {
    const distributions = Object.values(DISTRIBUTIONS);
    const rows = distributions.length;
    fc.assert(
      fc.property(fc.integer(), fc.boolean(), (seed, weighted) => {
        const next = uniform(seed);
        const x = new Float32Array(rows * COLUMNS).map((_, i) => distributions[Math.floor(i / COLUMNS)](next(), next(), i));
        const inputs = inputsOf(x, weighted ? Float32Array.from({ length: COLUMNS }, () => 10 * next()) : undefined);
        const { blocks } = runWasm(refined, inputs, {});
        expect(Buffer.compare(blocks.data as Uint8Array, refined.reference(inputs, {}, whole(rows)).blocks.data as Uint8Array)).toBe(0);
        const plain = errors(name, runWasm(encode, inputs, {}).blocks, inputs);
        // Errors are compared in f32; where they overflow, nothing can be.
        errors(name, blocks, inputs).forEach((error, block) => {
          if (plain[block] < 1e30) expect(error).toBeLessThanOrEqual(plain[block] * (1 + 1e-5) + 1e-38);
        });
      }),
      { numRuns: 2 },
    );
  });

  it.each([
    ['', undefined],
    [' with importance', positive(5)],
  ])('lowers the error of bell-shaped rows%s', (_, importance) => {
    const inputs = inputsOf(bell(3, 16 * COLUMNS), importance);
    const total = (blocks: Tensor) => errors(name, blocks, inputs).reduce((sum, error) => sum + error, 0);
    const [plain, better] = [total(runWasm(encode, inputs, {}).blocks), total(runWasm(refined, inputs, {}).blocks)];
    expect(better).toBeLessThan((importance ? 0.99 : 0.97) * plain);
  });
});

describe('search: refined', () => {
  const tensors = [
    { name: 'token_embd.weight', shape: [32, 256] },
    { name: 'blk.0.attn_q.weight', shape: [256, 256] },
    { name: 'blk.0.ffn_norm.weight', shape: [256] },
  ];
  const facts: ModelFacts = { config: { model_type: 'llama' }, architecture: 'llama', tensors: new Map(), linears: new Set() };
  const encodersOf = (scheme: string, options: object) => {
    const found = ggufSchemes().find(({ name }) => name === scheme);
    const assigned = found?.assign(tensors, facts, found.options.parse(options));
    return tensors.map(({ name }) => {
      const of = assigned?.get(name);
      return of?.kind === 'block' ? `${of.type} ${of.encode.name}` : undefined;
    });
  };

  it('changes the encoders of a mixture and nothing else, where a type has one; never by default', () => {
    expect(encodersOf('Q4_K_M', {})).toEqual(['Q6_K gguf.encodeQ6_K', 'Q4_K gguf.encodeQ4_K', undefined]);
    expect(encodersOf('Q4_K_M', { search: 'refined' })).toEqual(['Q6_K gguf.encodeRefinedQ6_K', 'Q4_K gguf.encodeRefinedQ4_K', undefined]);
    expect(encodersOf('Q8_0', { search: 'refined' })[1]).toBe('Q8_0 gguf.encodeQ8_0');
    expect(() => encodersOf('Q4_K_M', { search: 'best' })).toThrow(/ggml.*refined/);
  });
});
