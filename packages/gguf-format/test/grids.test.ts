import { type BlockGrid, type BlockScheme, createRng, type Tensor, tensor } from '@calibrant/core';
import { BLOCK_TYPES, type BlockTypeName } from '@calibrant/gguf-format';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { schemeOf } from '../src/schemes/tensor-types.js';

const names = Object.keys(BLOCK_TYPES) as BlockTypeName[];
const gridded = names.flatMap((name) => {
  const scheme = schemeOf(name);
  return scheme.kind === 'block' && scheme.grid ? [[name, scheme, scheme.grid] as const] : [];
});
const ROWS = 3;
const whole = { start: 0, end: ROWS };

function encoded({ blockSize, encode }: BlockScheme, blocks: number, seed: number, importance: boolean): Tensor {
  const random = createRng(seed);
  const columns = blocks * blockSize;
  const magnitude = 10 ** (6 * random.uniform() - 4);
  const values = Float32Array.from({ length: ROWS * columns }, () => magnitude * random.normal() + magnitude * (seed % 3));
  // A block of zeros has a scale of zero.
  if (seed % 5 === 0) values.fill(0, 0, blockSize);
  const weights = Float32Array.from({ length: columns }, () => random.uniform());
  const inputs = { x: tensor('f32', [ROWS, columns], values), importance: tensor('f32', [columns], weights) };
  return encode.reference(importance ? inputs : ({ x: inputs.x } as typeof inputs), {}, whole).blocks;
}

/** `scale · level − offset`, as the contract says it. */
function valuesOf(grid: BlockGrid, blocks: Tensor, codes: Tensor): Float32Array {
  const { scales, offsets } = grid.steps.reference({ blocks }, {}, whole);
  return Float32Array.from(codes.data as Uint8Array, (code, at) => {
    const group = Math.floor(at / grid.groupSize);
    return Math.fround(Math.fround(Number(scales.data[group]) * grid.levels[code]) - Number(offsets.data[group]));
  });
}

describe.each(gridded)('the grid of %s', (_name, scheme, grid) => {
  it('says what the decoder reads after other codes were put in', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.nat(), fc.boolean(), (count, seed, importance) => {
        const blocks = encoded(scheme, count, seed, importance);
        const random = createRng(seed + 1);
        const length = ROWS * count * scheme.blockSize;
        const codes = tensor(
          'u8',
          [ROWS, count * scheme.blockSize],
          Uint8Array.from({ length }, () => Math.floor(random.uniform() * grid.levels.length)),
        );
        const { recoded } = grid.replaceCodes.reference({ blocks, codes }, {}, whole);
        expect(scheme.decode.reference({ blocks: recoded }, {}, whole).x.data).toEqual(valuesOf(grid, blocks, codes));
      }),
      { numRuns: 25, seed: 3 },
    );
  });

  it('keeps every byte when the codes are the encoder’s', () => {
    const blocks = encoded(scheme, 2, 7, false);
    const values = scheme.decode.reference({ blocks }, {}, whole).x.data as Float32Array;
    const every = grid.levels.map((_, code) =>
      valuesOf(grid, blocks, tensor('u8', [ROWS, 2 * scheme.blockSize], new Uint8Array(values.length).fill(code))),
    );
    const codes = Uint8Array.from(values, (value, at) => every.findIndex((of) => of[at] === value));
    const { recoded } = grid.replaceCodes.reference({ blocks, codes: tensor('u8', [ROWS, 2 * scheme.blockSize], codes) }, {}, whole);
    expect(recoded.data).toEqual(blocks.data);
  });

  it('has ascending levels and groups that divide a block', () => {
    expect([...grid.levels].sort((a, b) => a - b)).toEqual(grid.levels);
    expect(scheme.blockSize % grid.groupSize).toBe(0);
  });

  it('refuses bytes and codes of other sizes', () => {
    const blocks = { dtype: 'u8', shape: [2, scheme.blockBytes] } as const;
    expect(() => grid.steps.infer({ blocks: { dtype: 'u8', shape: [2, scheme.blockBytes + 1] } }, {})).toThrow(/multiple of/);
    expect(() => grid.replaceCodes.infer({ blocks, codes: { dtype: 'u8', shape: [2, 31] } }, {})).toThrow(/codes of u8/);
  });
});

describe('grids', () => {
  it('exist for the types that code their values one by one', () => {
    expect(gridded.map(([name]) => name)).toEqual(names.filter((name) => /^(Q[2-6]_K|Q[45]_[01]|Q8_0|IQ4_NL|IQ4_XS)$/.test(name)));
  });
});
