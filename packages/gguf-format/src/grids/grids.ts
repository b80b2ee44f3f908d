import { type BlockGrid, type BlockGridDefinition, defineBlockGrid } from '@calibrant/core';
import { readHalf } from '../blocks/half.js';
import { pairAt } from '../blocks/six-bit-pairs.js';
import { NON_LINEAR_VALUES } from '../search/non-linear.js';
import { packBitPlanes, packFifthBits, packNibblePlanes, packNibbles, packPairPlanes } from './code-planes.js';

const f = Math.fround;

type Layout = Omit<BlockGridDefinition, 'name'>;

/** Blocks of 32 with one half scale at byte 0: `x = d · level(c)`. */
const oneScale = (blockBytes: number, levels: readonly number[], writeCodes: Layout['writeCodes']): Layout => ({
  blockSize: 32,
  blockBytes,
  groupSize: 32,
  levels,
  readSteps(block, scales) {
    scales[0] = readHalf(block, 0);
  },
  writeCodes,
});

/** Blocks of 32 with a half scale and a half minimum: `x = d · c + m`. */
const scaleAndMin = (blockBytes: number, bits: number, writeCodes: Layout['writeCodes']): Layout => ({
  ...oneScale(blockBytes, integerLevels(0, 2 ** bits - 1), writeCodes),
  readSteps(block, scales, offsets) {
    scales[0] = readHalf(block, 0);
    offsets[0] = -readHalf(block, 2);
  },
});

/** Super-blocks of 8 × 32 with 6-bit scales and minima: `x = d · scale · c − dmin · min`. */
const affineSuperBlock = (blockBytes: number, bits: number, writeCodes: Layout['writeCodes']): Layout => ({
  blockSize: 256,
  blockBytes,
  groupSize: 32,
  levels: integerLevels(0, 2 ** bits - 1),
  readSteps(block, scales, offsets) {
    const [d, dmin] = [readHalf(block, 0), readHalf(block, 2)];
    for (let j = 0; j < 8; j++) {
      const { scale, min } = pairAt(block, 4, j);
      scales[j] = f(d * scale);
      offsets[j] = f(dmin * min);
    }
  },
  writeCodes,
});

/** Super-blocks of 16 × 16; see the files of the types in `blocks` for the bytes. */
const Q2_K: Layout = {
  blockSize: 256,
  blockBytes: 84,
  groupSize: 16,
  levels: integerLevels(0, 3),
  readSteps(block, scales, offsets) {
    const [d, dmin] = [readHalf(block, 80), readHalf(block, 82)];
    for (let j = 0; j < 16; j++) {
      scales[j] = f(d * (block[j] & 15));
      offsets[j] = f(dmin * (block[j] >> 4));
    }
  },
  writeCodes(codes, block) {
    for (let half = 0; half < 2; half++) packPairPlanes(codes, half * 128, 0, block, 16 + half * 32);
  },
};

const Q3_K: Layout = {
  blockSize: 256,
  blockBytes: 110,
  groupSize: 16,
  levels: integerLevels(-4, 3),
  readSteps(block, scales) {
    const d = readHalf(block, 108);
    for (let j = 0; j < 16; j++) {
      const low = (block[96 + (j & 7)] >> (j < 8 ? 0 : 4)) & 15;
      const high = (block[104 + (j & 3)] >> (2 * (j >> 2))) & 3;
      scales[j] = f(d * ((low | (high << 4)) - 32));
    }
  },
  writeCodes(codes, block) {
    packBitPlanes(codes, 2, block, 0);
    for (let half = 0; half < 2; half++) packPairPlanes(codes, half * 128, 0, block, 32 + half * 32);
  },
};

const Q6_K: Layout = {
  blockSize: 256,
  blockBytes: 210,
  groupSize: 16,
  levels: integerLevels(-32, 31),
  readSteps(block, scales) {
    const d = readHalf(block, 208);
    for (let j = 0; j < 16; j++) scales[j] = f(d * ((block[192 + j] << 24) >> 24));
  },
  writeCodes(codes, block) {
    for (let half = 0; half < 2; half++) {
      const start = half * 128;
      for (let l = 0; l < 64; l++) block[half * 64 + l] = (codes[start + l] & 15) | ((codes[start + 64 + l] & 15) << 4);
      packPairPlanes(codes, start, 4, block, 128 + half * 32);
    }
  },
};

const IQ4_XS: Layout = {
  blockSize: 256,
  blockBytes: 136,
  groupSize: 32,
  levels: [...NON_LINEAR_VALUES],
  readSteps(block, scales) {
    const d = readHalf(block, 0);
    for (let j = 0; j < 8; j++) {
      const low = (block[4 + (j >> 1)] >> (j & 1 ? 4 : 0)) & 15;
      const high = (block[2 + (j >> 2)] >> (2 * (j & 3))) & 3;
      scales[j] = f(d * ((low | (high << 4)) - 32));
    }
  },
  writeCodes(codes, block) {
    for (let j = 0; j < 8; j++) packNibbles(codes.subarray(j * 32), block, 8 + j * 16);
  },
};

const fiveBits =
  (at: number): Layout['writeCodes'] =>
  (codes, block) => {
    packFifthBits(codes, block, at);
    packNibbles(codes, block, at + 4);
  };

const LAYOUTS: Readonly<Record<string, Layout>> = {
  Q4_0: oneScale(18, integerLevels(-8, 7), (codes, block) => packNibbles(codes, block, 2)),
  Q4_1: scaleAndMin(20, 4, (codes, block) => packNibbles(codes, block, 4)),
  Q5_0: oneScale(22, integerLevels(-16, 15), fiveBits(2)),
  Q5_1: scaleAndMin(24, 5, fiveBits(4)),
  // Never −128: some runtimes negate the bytes.
  Q8_0: oneScale(34, integerLevels(-127, 127), (codes, block) => {
    for (let i = 0; i < 32; i++) block[2 + i] = codes[i] - 127;
  }),
  Q2_K,
  Q3_K,
  Q4_K: affineSuperBlock(144, 4, (codes, block) => packNibblePlanes(codes, block, 16)),
  Q5_K: affineSuperBlock(176, 5, (codes, block) => {
    packBitPlanes(codes, 4, block, 16);
    packNibblePlanes(codes, block, 48);
  }),
  Q6_K,
  IQ4_NL: oneScale(18, [...NON_LINEAR_VALUES], (codes, block) => packNibbles(codes, block, 2)),
  IQ4_XS,
};

const GRIDS: ReadonlyMap<string, BlockGrid> = new Map(
  Object.entries(LAYOUTS).map(([name, layout]) => [name, defineBlockGrid({ name: `gguf.${name}`, ...layout })]),
);

/** The grid of a block type, for methods that choose codes themselves; undefined for types that store more than one code a value (IQ2, TQ, …). */
export function blockGrid(name: string): BlockGrid | undefined {
  return GRIDS.get(name);
}

/** `first, first + 1, …, last`. */
function integerLevels(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
