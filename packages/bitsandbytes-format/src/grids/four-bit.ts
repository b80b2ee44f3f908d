import { type BlockScheme, defineBlockGrid } from '@calibrant/core';
import { CODEBOOKS, type FourBitCodebook } from './codebooks.js';
import { ABSMAX_BYTES, readAbsmax, writeAbsmax } from './magnitude.js';
import { decoder, encoder, type RowCodec } from './row-kernels.js';

/** Weights per block that bitsandbytes takes. */
export const BLOCK_SIZES = [32, 64, 128, 256, 512, 1024, 2048, 4096] as const;

/** What is stored of a 4-bit weight of bitsandbytes. */
export interface FourBitForm {
  readonly quantType: 'nf4' | 'fp4';
  readonly blockSize: (typeof BLOCK_SIZES)[number];
  /** Whether the blocks' magnitudes are stored in 8 bits. */
  readonly doubleQuant: boolean;
}

/** `nf4`, `fp4-g128`, `nf4-dq`, `nf4-g128-dq`: blocks of 64 have no size in the name. */
export function fourBitName({ quantType, blockSize, doubleQuant }: FourBitForm): string {
  return `${quantType}${blockSize === 64 ? '' : `-g${blockSize}`}${doubleQuant ? '-dq' : ''}`;
}

/** The form of a name made by {@link fourBitName}; undefined for other names and sizes. */
export function parseFourBitName(name: string): FourBitForm | undefined {
  const match = /^(nf4|fp4)(?:-g(\d+))?(-dq)?$/i.exec(name);
  const blockSize = BLOCK_SIZES.find((size) => size === Number(match?.[2] ?? 64));
  if (!match || blockSize === undefined) return undefined;
  return { quantType: match[1].toLowerCase() as FourBitForm['quantType'], blockSize, doubleQuant: match[3] !== undefined };
}

const schemes = new Map<string, BlockScheme>();

/**
 * A 4-bit grid of bitsandbytes as a block type: each block is its largest magnitude in f32, then two codes a byte, the first in the high bits. The
 * magnitudes of `doubleQuant` are rounded when the tensor is written, so they are exact here.
 */
export function fourBitScheme(form: FourBitForm): BlockScheme {
  const type = fourBitName(form);
  const known = schemes.get(type);
  if (known) return known;
  const codebook = CODEBOOKS[form.quantType];
  const codec = codecOf(codebook, form.blockSize);
  const { blockSize, blockBytes } = codec;
  // FP4 has two codes for zero; a method that chooses codes needs one.
  const ranked = [...codebook.codes].filter((code, rank, all) => rank === 0 || codebook.values[code] !== codebook.values[all[rank - 1]]);
  const scheme: BlockScheme = Object.freeze({
    kind: 'block',
    type,
    blockSize,
    blockBytes,
    encode: encoder(codec),
    decode: decoder(codec),
    grid: defineBlockGrid({
      name: `bitsandbytes.${codec.name}`,
      blockSize,
      blockBytes,
      groupSize: blockSize,
      levels: ranked.map((code) => codebook.values[code]),
      readSteps(block, scales) {
        scales[0] = readAbsmax(block);
      },
      writeCodes: (levels, block) => packCodes((i) => ranked[levels[i]], block),
    }),
  });
  schemes.set(type, scheme);
  return scheme;
}

function codecOf({ name, values, codes, bounds }: FourBitCodebook, blockSize: number): RowCodec {
  return {
    name: `${name}-g${blockSize}`,
    blockSize,
    blockBytes: ABSMAX_BYTES + blockSize / 2,
    wasmSuffix: name.toUpperCase(),
    scalars: [blockSize],
    encodeBlock(x, out) {
      const absmax = x.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
      writeAbsmax(out, absmax);
      const inverse = Math.fround(1 / Math.max(absmax, SMALLEST));
      const rankOf = (scaled: number) => bounds.reduce((rank, bound) => rank + (bound < scaled ? 1 : 0), 0);
      packCodes((i) => codes[rankOf(Math.fround(x[i] * inverse))], out);
    },
    decodeBlock(block, out) {
      const absmax = readAbsmax(block);
      for (let i = 0; i < out.length; i++) out[i] = values[(block[ABSMAX_BYTES + (i >> 1)] >> (i % 2 === 0 ? 4 : 0)) & 15] * absmax;
    },
  };
}

/** In place of a zero magnitude, in f32. */
const SMALLEST = Math.fround(1e-38);

function packCodes(codeAt: (index: number) => number, block: Uint8Array): void {
  for (let i = 0; i < block.length - ABSMAX_BYTES; i++) block[ABSMAX_BYTES + i] = (codeAt(2 * i) << 4) | codeAt(2 * i + 1);
}
