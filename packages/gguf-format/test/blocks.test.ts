import { E2M1, type RowRange, type Tensor, tensor } from '@calibrant/core';
import { BLOCK_TYPES, type BlockType, blockType } from '@calibrant/gguf-format';
import { runWasm } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import { COLUMNS, fixtureName, golden, goldenFloats, importance, input, ROWS } from './golden.js';

const whole: RowRange = { start: 0, end: ROWS };
type EncodeInputs = Record<'x' | 'importance', Tensor>;

/** The plain reference and the WebAssembly variant of an encoder and a decoder. */
const variants: [string, (type: BlockType, inputs: EncodeInputs) => Uint8Array, (type: BlockType, blocks: Tensor) => Float32Array][] = [
  [
    'reference',
    (type, inputs) => type.encode.reference(inputs, {}, whole).blocks.data as Uint8Array,
    (type, blocks) => type.decode.reference({ blocks }, {}, whole).x.data as Float32Array,
  ],
  [
    'WebAssembly variant',
    (type, inputs) => runWasm(type.encode, inputs, {}).blocks.data as Uint8Array,
    (type, blocks) => runWasm(type.decode, { blocks }, {}).x.data as Float32Array,
  ],
];

const coded = Object.values(BLOCK_TYPES).filter(({ name }) => name !== 'F32');
const plain = coded.filter(({ needsImportance }) => !needsImportance);
const weighted = coded.filter(({ name }) => /^(Q[45]_[01]|Q[2-6]_K|IQ)/.test(name));
/** Fixtures of a type, with importance where there is no encoding without. */
const fixture = ({ name, needsImportance }: BlockType) => `${fixtureName(name)}${needsImportance ? '.imatrix' : ''}`;

describe.each(variants)('the %s of', (_variant, encode, decode) => {
  it.each(plain.map((type) => [type.name, type] as const))('%s encodes to the bytes of ggml', (name, type) => {
    expect(encode(type, { x: input() } as EncodeInputs)).toEqual(golden(`${fixtureName(name)}.bin`));
  });

  it.each(weighted.map((type) => [type.name, type] as const))('%s encodes with importance to the bytes of ggml', (name, type) => {
    const bytes = encode(type, { x: input(), importance: importance() });
    expect(bytes).toEqual(golden(`${fixtureName(name)}.imatrix.bin`));
  });

  it.each(['Q8_0', 'MXFP4', 'TQ1_0', 'TQ2_0', 'NVFP4', 'Q1_0', 'Q2_0'])('%s does not look at importance', (name) => {
    expect(encode(blockType(name), { x: input(), importance: importance() })).toEqual(golden(`${fixtureName(name)}.bin`));
  });

  it.each(coded.map((type) => [type.name, type] as const))('%s decodes to the floats of ggml', (_name, type) => {
    const bytes = golden(`${fixture(type)}.bin`);
    const floats = decode(type, tensor('u8', [ROWS, bytes.length / ROWS], bytes));
    const expected = goldenFloats(`${fixture(type)}.dequant.f32`);
    expect(new Uint32Array(floats.buffer, floats.byteOffset, floats.length)).toEqual(new Uint32Array(expected.buffer));
  });

  it('F32 keeps every bit', () => {
    const x = input();
    const blocks = encode(BLOCK_TYPES.F32, { x } as EncodeInputs);
    expect(decode(BLOCK_TYPES.F32, tensor('u8', [ROWS, COLUMNS * 4], blocks))).toEqual(x.data);
  });

  it.each(['F16', 'BF16'] as const)('%s converts rows whose length is no multiple of the vector width', (name) => {
    const x = tensor('f32', [3, 7], goldenFloats('input.f32').slice(0, 21));
    const blocks = encode(BLOCK_TYPES[name], { x } as EncodeInputs);
    expect(blocks).toEqual(golden(`${name.toLowerCase()}.bin`).slice(0, 42));
    expect(decode(BLOCK_TYPES[name], tensor('u8', [3, 14], blocks))).toEqual(
      goldenFloats(`${name.toLowerCase()}.dequant.f32`).slice(0, 21),
    );
  });

  it('F16 keeps infinities, signed zeros and subnormals, and makes NaN quiet', () => {
    const x = tensor('f32', [1, 8], new Float32Array([Infinity, -Infinity, -0, NaN, 65519.99, 65520, 2 ** -24, 2 ** -25]));
    const patterns = new Uint16Array(encode(BLOCK_TYPES.F16, { x } as EncodeInputs).slice().buffer);
    expect([...patterns]).toEqual([0x7c00, 0xfc00, 0x8000, 0x7e00, 0x7bff, 0x7c00, 1, 0]);
  });
});

describe('MXFP4', () => {
  it('keeps the values of another encoder of the same grid, whatever exponents it chose', () => {
    // Blocks that do not reach the upper half of their range, so that ours have smaller exponents.
    const x = new Float32Array(64 * 32).map((_, i) => {
      const block = Math.floor(i / 32);
      const most = 1 + (block % 15);
      return 2 ** ((block % 40) - 20) * E2M1.values[(i * 7 + block) % most] * (i % 3 ? 1 : -1);
    });
    const encoded = runWasm(BLOCK_TYPES.MXFP4.encode, { x: tensor('f32', [1, x.length], x) } as EncodeInputs, {}).blocks;
    expect((runWasm(BLOCK_TYPES.MXFP4.decode, { blocks: encoded }, {}).x.data as Float32Array).map((value) => value + 0)).toEqual(
      x.map((value) => value + 0),
    );
  });
});

describe('block types', () => {
  it('are found by name in any case', () => {
    expect(blockType('q4_k')).toBe(BLOCK_TYPES.Q4_K);
    expect(() => blockType('Q9_9')).toThrow(/no GGUF type "Q9_9".*Known: F32/);
  });

  it('refuse rows that blocks do not divide, naming the block size', () => {
    const x = { dtype: 'f32', shape: [2, 100] } as const;
    expect(() => BLOCK_TYPES.Q4_K.encode.infer({ x } as never, {})).toThrow(/multiple of 256, found f32 \[2, 100\]/);
  });

  it.each(['IQ2_XXS', 'IQ2_XS', 'IQ1_S'])('refuse to encode %s without importance', (name) => {
    const x = { dtype: 'f32', shape: [2, 256] } as const;
    expect(() => blockType(name).encode.infer({ x } as never, {})).toThrow(`${name} has no encoding without importance`);
  });

  it('refuse importance of another length', () => {
    const specs = { x: { dtype: 'f32', shape: [2, 256] }, importance: { dtype: 'f32', shape: [128] } } as const;
    expect(() => BLOCK_TYPES.Q4_K.encode.infer(specs, {})).toThrow(/importance of f32 \[2, 256\] must be f32 \[256\]/);
  });

  it('split work by shape alone', () => {
    const chunk = (columns: number) => BLOCK_TYPES.Q4_K.encode.chunkRows?.({ x: { dtype: 'f32', shape: [1000, columns] } } as never, {});
    expect([chunk(1024), chunk(1 << 20)]).toEqual([64, 1]);
  });
});
