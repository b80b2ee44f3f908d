import { createHash } from 'node:crypto';
import { type Tensor, tensor } from '@calibrant/core';
import { BLOCK_TYPES, type BlockType } from '@calibrant/gguf-format';
import { runWasm } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

/** Start of the SHA-256 of what ggml's `ggml_quantize_chunk` (0.20.1, built for plain x86-64) makes of the rows below, without and with importance. */
const HASHES: Readonly<Record<string, readonly [plain: string | undefined, weighted: string]>> = {
  F16: ['bd5503916b961e67', 'bd5503916b961e67'],
  BF16: ['951863574f171699', '951863574f171699'],
  Q4_0: ['f00ee6c49dfd419e', 'bff432f0cbbd7a49'],
  Q4_1: ['5d61cd7908a4c11b', 'fecb1026d023bb07'],
  Q5_0: ['565dd0ba03fc670d', 'fbb1c10bb871ca0c'],
  Q5_1: ['db651213af2fac63', '5058dd8ce45e98ad'],
  Q8_0: ['6141b96fa76d749b', '6141b96fa76d749b'],
  Q2_K: ['04cf32b308e681a5', 'b4db14e3e98428e0'],
  Q3_K: ['f676d7f66ae3d90c', '568c44f8d2ba4d38'],
  Q4_K: ['f73d7680fc8a0978', 'fa4560476d26526f'],
  Q5_K: ['45ebe5f83d7c8ecb', 'eefb1cc9746ea04d'],
  Q6_K: ['7d23578176903380', 'fcc837ab255fcb05'],
  IQ4_NL: ['0ee4f30296e6e3b3', '8c6ab1fe3543ca1c'],
  IQ4_XS: ['c2ac68ebf9270a27', '7e32a65cb6c2626d'],
  IQ3_XXS: ['cae8a4cea3ce212d', 'e7324d18d545b9d5'],
  IQ3_S: ['3b6303e99e753337', 'a64a8d992f2acf1b'],
  IQ2_XXS: [undefined, '1768a7aca6dc020c'],
  IQ2_XS: [undefined, '615e64fe2a60b9f7'],
  IQ2_S: ['ff9de418ffcc801c', 'ee1f5d6154034814'],
  IQ1_S: [undefined, '0680334f5f2568d0'],
  IQ1_M: ['95b066f44102ddd4', 'bb710767e393e016'],
  TQ1_0: ['91db01b34b1c9210', '91db01b34b1c9210'],
  TQ2_0: ['9223e817ada822d9', '9223e817ada822d9'],
  MXFP4: ['c8e53a89f4d04e5b', 'c8e53a89f4d04e5b'],
  NVFP4: ['f5d2925a38f2a415', 'f5d2925a38f2a415'],
  Q1_0: ['045f1005e2c1e2fa', '045f1005e2c1e2fa'],
  Q2_0: ['4f82707592141693', '4f82707592141693'],
};

const [ROWS, COLUMNS] = [64, 1024];

/** Uniform numbers in [0, 1) of the congruential generator of Numerical Recipes, 24 bits each. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}

function rows(): Tensor {
  const uniform = generator(12345);
  const centred = () => uniform() - 0.5;
  return tensor(
    'f32',
    [ROWS, COLUMNS],
    new Float32Array(ROWS * COLUMNS).map(() => 0.04 * (centred() + centred() + centred() + centred())),
  );
}

function importance(): Tensor {
  const uniform = generator(777);
  const weights = new Float32Array(COLUMNS).map(() => {
    const u = uniform();
    return 0.05 + u * u * 4;
  });
  return tensor('f32', [COLUMNS], weights);
}

const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex').slice(0, 16);
const encode = (type: BlockType, inputs: { x: Tensor; importance?: Tensor }) =>
  hash(runWasm(type.encode, inputs, {}).blocks.data as Uint8Array);

describe('64 rows of 1024 bell-shaped numbers', () => {
  const types = Object.values(BLOCK_TYPES).filter(({ name }) => name !== 'F32');

  it.each(types.map((type) => [type.name, type] as const))('%s encodes to the known hashes', (name, type) => {
    const [plain, weighted] = HASHES[name];
    if (plain) expect(encode(type, { x: rows() })).toBe(plain);
    else expect(type.needsImportance).toBe(true);
    expect(encode(type, { x: rows(), importance: importance() })).toBe(weighted);
  });
});
