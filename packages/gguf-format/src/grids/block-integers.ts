import { type BlockIntegers, CalibrantError, defineKernel, describeSpec, type Tensor, tensor } from '@calibrant/core';
import type { BlockTypeName } from '../blocks/block-types.js';
import { writeHalf } from '../blocks/half.js';
import { wasmModule } from '../generated/wasm.js';

const SIZE = 32;

const Q4_0 = defineIntegers('Q4_0', 4, 18, (levels, out) => {
  for (let j = 0; j < 16; j++) out[2 + j] = (levels[j] + 8) | ((levels[j + 16] + 8) << 4);
});

const Q5_0 = defineIntegers('Q5_0', 5, 22, (levels, out) => {
  const codes = Array.from(levels, (level) => level + 16);
  for (let j = 0; j < 16; j++) out[6 + j] = (codes[j] & 15) | ((codes[j + 16] & 15) << 4);
  for (const [j, code] of codes.entries()) out[2 + (j >> 3)] |= (code >> 4) << (j & 7);
});

const Q8_0 = defineIntegers('Q8_0', 8, 34, (levels, out) => out.set(new Uint8Array(levels.buffer), 2));

/** Symmetric integer grids with a half scale for each block of 32, from the smallest. */
const TYPES = { Q4_0, Q5_0, Q8_0 } as const;

export function blockIntegers(name: BlockTypeName): BlockIntegers | undefined {
  return TYPES[name as keyof typeof TYPES];
}

/**
 * The smallest type that holds the codes of an integer grid exactly. With a zero point anywhere among the codes they reach as far as 2^bits − 1 to either side of it,
 * one bit more than around a zero point in the middle. Undefined for asymmetric codes of 8 bits.
 */
export function exactIntegers(bits: number, symmetric: boolean): keyof typeof TYPES | undefined {
  const needed = symmetric ? bits : bits + 1;
  return (Object.keys(TYPES) as (keyof typeof TYPES)[]).find((name) => TYPES[name].bits >= needed);
}

/** @param write puts 32 distances from the zero point behind the scale */
function defineIntegers(
  name: string,
  bits: BlockIntegers['bits'],
  blockBytes: number,
  write: (levels: Int8Array, block: Uint8Array) => void,
): BlockIntegers {
  const pack: BlockIntegers['pack'] = defineKernel({
    name: `gguf.pack${name}`,
    inputs: { codes: { role: 'rows' }, zeroPoints: { role: 'rows' }, scales: { role: 'rows' } },
    outputs: { blocks: { role: 'rows' } },
    chunkRows: () => 64,
    infer({ codes, zeroPoints, scales }) {
      const perBlock = [codes.shape[0], codes.shape[1] / SIZE];
      const fits =
        codes.dtype === 'u8' &&
        zeroPoints.dtype === 'u8' &&
        scales.dtype === 'f32' &&
        [zeroPoints, scales].every(({ shape }) => shape.length === 2 && shape.every((size, i) => size === perBlock[i]));
      if (!fits)
        throw new CalibrantError(
          'SHAPE_MISMATCH',
          `${name}: codes must be u8 [rows, columns], zero points u8 and scales f32 [rows, columns / ${SIZE}], found ${[codes, zeroPoints, scales].map(describeSpec).join(', ')}.`,
        );
      return { blocks: { dtype: 'u8', shape: [codes.shape[0], scales.shape[1] * blockBytes] } };
    },
    reference({ codes, zeroPoints, scales }: { codes: Tensor; zeroPoints: Tensor; scales: Tensor }) {
      const blocks = new Uint8Array(scales.data.length * blockBytes);
      for (let b = 0; b < scales.data.length; b++) {
        const block = blocks.subarray(b * blockBytes, (b + 1) * blockBytes);
        writeHalf(block, 0, Number(scales.data[b]));
        const ofBlock = (codes.data as Uint8Array).subarray(b * SIZE, (b + 1) * SIZE);
        write(
          Int8Array.from(ofBlock, (code) => code - Number(zeroPoints.data[b])),
          block,
        );
      }
      return { blocks: tensor('u8', [codes.shape[0], scales.shape[1] * blockBytes], blocks) };
    },
    wasm: { module: wasmModule, function: `pack${name}`, scalars: ({ codes }) => [codes?.shape[1] ?? 0] },
  });
  return { bits, pack };
}
