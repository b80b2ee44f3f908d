import { type BlockScheme, type RowRange, type Tensor, tensor } from '@calibrant/core';
import { blockGrid } from '../grids/grids.js';
import { decodedError, type RefinedGrid, type RefinedState, refine } from '../search/refine.js';
import { type BlockType, defineEncoder } from './block-type.js';
import { readHalf, writeHalf } from './half.js';
import { Q2_K } from './q2-k.js';
import { Q3_K } from './q3-k.js';
import { Q4_0 } from './q4-0.js';
import { Q4_1 } from './q4-1.js';
import { Q4_K } from './q4-k.js';
import { Q5_0 } from './q5-0.js';
import { Q5_1 } from './q5-1.js';
import { Q5_K } from './q5-k.js';
import { Q6_K } from './q6-k.js';
import { packPairs, pairAt } from './six-bit-pairs.js';

/** How the factors and integers of a type's blocks are read and written. */
interface Layout extends Omit<RefinedGrid, 'starts' | 'spread'> {
  read(block: Uint8Array, state: { scales: Int16Array; mins: Int16Array }): readonly [d: number, dmin: number];
  write(state: RefinedState, block: Uint8Array): void;
}

const PLAIN = { groups: 1, size: 32, scales: [1, 1] } as const;

function oneScale(most: number): Layout {
  return {
    ...PLAIN,
    codes: [-most - 1, most],
    read(block, { scales }) {
      scales[0] = 1;
      return [readHalf(block, 0), 0];
    },
    write: ({ d }, block) => writeHalf(block, 0, d),
  };
}

function scaleAndMin(most: number): Layout {
  return {
    ...PLAIN,
    codes: [0, most],
    mostMin: 1,
    read(block, { scales, mins }) {
      scales[0] = 1;
      mins[0] = 1;
      return [readHalf(block, 0), -readHalf(block, 2)];
    },
    write({ d, dmin }, block) {
      writeHalf(block, 0, d);
      writeHalf(block, 2, -dmin);
    },
  };
}

function pairs(most: number): Layout {
  return {
    groups: 8,
    size: 32,
    codes: [0, most],
    scales: [0, 63],
    mostMin: 63,
    read(block, { scales, mins }) {
      for (let j = 0; j < 8; j++) ({ scale: scales[j], min: mins[j] } = pairAt(block, 4, j));
      return [readHalf(block, 0), readHalf(block, 2)];
    },
    write({ d, dmin, scales, mins }, block) {
      writeHalf(block, 0, d);
      writeHalf(block, 2, dmin);
      block.set(packPairs(Uint8Array.from(scales), Uint8Array.from(mins)), 4);
    },
  };
}

const SIXTEENS = { groups: 16, size: 16 } as const;

const q2K: Layout = {
  ...SIXTEENS,
  codes: [0, 3],
  scales: [0, 15],
  mostMin: 15,
  read(block, { scales, mins }) {
    for (let j = 0; j < 16; j++) [scales[j], mins[j]] = [block[j] & 15, block[j] >> 4];
    return [readHalf(block, 80), readHalf(block, 82)];
  },
  write({ d, dmin, scales, mins }, block) {
    for (let j = 0; j < 16; j++) block[j] = scales[j] | (mins[j] << 4);
    writeHalf(block, 80, d);
    writeHalf(block, 82, dmin);
  },
};

const q3K: Layout = {
  ...SIXTEENS,
  codes: [-4, 3],
  scales: [-32, 31],
  read(block, { scales }) {
    for (let j = 0; j < 16; j++) {
      const low = (block[96 + (j & 7)] >> (j < 8 ? 0 : 4)) & 15;
      scales[j] = (low | (((block[104 + (j & 3)] >> (2 * (j >> 2))) & 3) << 4)) - 32;
    }
    return [readHalf(block, 108), 0];
  },
  write({ d, scales }, block) {
    block.fill(0, 96, 108);
    for (let j = 0; j < 16; j++) {
      block[96 + (j & 7)] |= ((scales[j] + 32) & 15) << (j < 8 ? 0 : 4);
      block[104 + (j & 3)] |= ((scales[j] + 32) >> 4) << (2 * (j >> 2));
    }
    writeHalf(block, 108, d);
  },
};

const q6K: Layout = {
  ...SIXTEENS,
  codes: [-32, 31],
  scales: [-128, 127],
  read(block, { scales }) {
    for (let j = 0; j < 16; j++) scales[j] = (block[192 + j] << 24) >> 24;
    return [readHalf(block, 208), 0];
  },
  write({ d, scales }, block) {
    for (let j = 0; j < 16; j++) block[192 + j] = scales[j];
    writeHalf(block, 208, d);
  },
};

const LAYOUTS: readonly (readonly [BlockType, Layout])[] = [
  [Q4_0, oneScale(7)],
  [Q5_0, oneScale(15)],
  [Q4_1, scaleAndMin(15)],
  [Q5_1, scaleAndMin(31)],
  [Q2_K, q2K],
  [Q3_K, q3K],
  [Q4_K, pairs(15)],
  [Q5_K, pairs(31)],
  [Q6_K, q6K],
];

const FIRST: RowRange = { start: 0, end: 1 };

/** The plain encoder's blocks, each replaced where {@link refine} finds a better one. */
function refinedEncoder({ encode, decode, ...type }: BlockType, layout: Layout): BlockScheme['encode'] {
  const { name, blockSize, blockBytes } = type;
  const grid = { ...layout, ...(layout.groups === 1 ? { starts: 12, spread: 0.015 } : { starts: 1, spread: 0.04 }) };
  return defineEncoder({
    ...type,
    wasmSuffix: `Refined${name}`,
    encodeRow(x, importance, out) {
      const inputs = { x: tensor('f32', [1, x.length], x), ...(importance ? { importance: tensor('f32', [x.length], importance) } : {}) };
      const { blocks } = encode.reference(inputs as Record<'x' | 'importance', Tensor>, {}, FIRST);
      out.set(blocks.data as Uint8Array);
      const decoded = decode.reference({ blocks }, {}, FIRST).x.data as Float32Array;
      for (let start = 0, at = 0; start < x.length; start += blockSize, at += blockBytes) {
        const [block, end] = [out.subarray(at, at + blockBytes), start + blockSize];
        const values = x.subarray(start, end);
        const weights = importance?.subarray(start, end) ?? new Float32Array(blockSize).fill(1);
        const integers = { scales: new Int16Array(layout.groups), mins: new Int16Array(layout.groups) };
        const [d, dmin] = layout.read(block, integers);
        const limit = decodedError(values, weights, grid, decoded.subarray(start, end));
        const better = refine(values, weights, grid, { d, dmin, ...integers }, limit);
        if (!better) continue;
        layout.write(better, block);
        block.set(withCodes(name, block, better.codes));
      }
    },
  });
}

function withCodes(name: string, block: Uint8Array, codes: Uint8Array): Uint8Array {
  const inputs = { blocks: tensor('u8', [1, block.length], block), codes: tensor('u8', [1, codes.length], codes) };
  return blockGrid(name)?.replaceCodes.reference(inputs, {}, FIRST).recoded.data as Uint8Array;
}

const ENCODERS: ReadonlyMap<string, BlockScheme['encode']> = new Map(
  LAYOUTS.map(([type, layout]) => [type.name, refinedEncoder(type, layout)]),
);

/** Names of the types that have a refined search. */
export const REFINED_TYPES: readonly string[] = [...ENCODERS.keys()];

/** The encoder of a type that searches longer than ggml's, for the same bytes and layout; undefined for types that have none. */
export function refinedEncoderOf(name: string): BlockScheme['encode'] | undefined {
  return ENCODERS.get(name);
}
