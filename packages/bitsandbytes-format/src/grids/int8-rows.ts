import { type BlockScheme, defineBlockGrid, roundHalfEven, toDtype, toF32 } from '@calibrant/core';
import { ABSMAX_BYTES, readAbsmax, writeAbsmax } from './magnitude.js';
import { decoder, encoder, type RowCodec } from './row-kernels.js';

/** The type's name, whatever the length of the rows. */
export const INT8_TYPE = 'llm-int8';

const schemes = new Map<number, BlockScheme>();

/**
 * The grid of LLM.int8() (Dettmers et al., arXiv 2208.07339) on rows of `columns` weights as a block type: each row is its largest magnitude in f32, then
 * signed bytes `round(w · 127 / absmax)`, ties to even. As bitsandbytes does, weights are rounded to f16 first.
 */
export function int8Scheme(columns: number): BlockScheme {
  const known = schemes.get(columns);
  if (known) return known;
  const codec = codecOf(columns);
  const scheme: BlockScheme = Object.freeze({
    kind: 'block',
    type: INT8_TYPE,
    blockSize: columns,
    blockBytes: codec.blockBytes,
    encode: encoder(codec),
    decode: decoder(codec),
    grid: defineBlockGrid({
      name: `bitsandbytes.${codec.name}`,
      blockSize: columns,
      blockBytes: codec.blockBytes,
      groupSize: columns,
      levels: Array.from({ length: 255 }, (_, i) => i - 127),
      readSteps(row, scales) {
        scales[0] = readAbsmax(row) / 127;
      },
      writeCodes(levels, row) {
        for (let i = 0; i < columns; i++) row[ABSMAX_BYTES + i] = levels[i] - 127;
      },
    }),
  });
  schemes.set(columns, scheme);
  return scheme;
}

function codecOf(columns: number): RowCodec {
  return {
    name: `${INT8_TYPE}-${columns}`,
    blockSize: columns,
    blockBytes: ABSMAX_BYTES + columns,
    wasmSuffix: 'Int8',
    encodeBlock(x, out) {
      const halves = toF32(toDtype({ dtype: 'f32', shape: [columns], data: x }, 'f16')).map((value) =>
        Math.max(-65504, Math.min(65504, value)),
      );
      const absmax = halves.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
      writeAbsmax(out, absmax);
      const factor = absmax > 0 ? Math.fround(127 / absmax) : 0;
      for (let i = 0; i < columns; i++) out[ABSMAX_BYTES + i] = roundHalfEven(Math.fround(halves[i] * factor));
    },
    decodeBlock(block, out) {
      const scale = Math.fround(readAbsmax(block) / 127);
      const codes = new Int8Array(block.buffer, block.byteOffset + ABSMAX_BYTES, columns);
      for (let i = 0; i < columns; i++) out[i] = scale * codes[i];
    },
  };
}
