/** Finds blocks that no reader can use. */
export interface BlockCheck {
  /** What is wrong with a bad block. */
  readonly fault: string;
  /** How many there are among whole blocks, and the index of the first (−1 without one). */
  scan(bytes: Uint8Array): { readonly count: number; readonly first: number };
}

/** Places of half-precision factors within a block. */
const HALVES: Readonly<Record<string, readonly number[]>> = {
  Q4_0: [0],
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q8_0: [0],
  Q8_1: [0, 2],
  Q2_K: [80, 82],
  Q3_K: [108],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
  IQ1_S: [0],
  IQ2_XXS: [0],
  IQ2_XS: [0],
  IQ2_S: [0],
  IQ3_XXS: [0],
  IQ3_S: [0],
  IQ4_NL: [0],
  IQ4_XS: [0],
  TQ1_0: [52],
  TQ2_0: [64],
  Q1_0: [0],
  Q2_0: [0],
  F16: [0],
};

/** Of a half-precision number by its high byte: it is neither infinite nor NaN. */
const isFiniteHalf = (high: number) => (high & 0x7c) !== 0x7c;

/** Whether the block at a place is one that ggml accepts too (`ggml_validate_row_data`); undefined for types whose every byte is valid. */
function validity(type: string): { readonly fault: string; readonly valid: (bytes: Uint8Array, at: number) => boolean } | undefined {
  const halves = HALVES[type];
  const notFinite =
    type === 'F16' || type === 'BF16' || type === 'F32' || type === 'F64' ? 'is not finite' : 'has a scale that is not finite';
  if (halves) return { fault: notFinite, valid: (bytes, at) => halves.every((place) => isFiniteHalf(bytes[at + place + 1])) };
  switch (type) {
    case 'F32':
    case 'Q8_K':
      return { fault: notFinite, valid: (bytes, at) => (bytes[at + 3] & 0x7f) !== 0x7f || (bytes[at + 2] & 0x80) === 0 };
    case 'BF16':
      return { fault: notFinite, valid: (bytes, at) => (bytes[at + 1] & 0x7f) !== 0x7f || (bytes[at] & 0x80) === 0 };
    case 'F64':
      return { fault: notFinite, valid: (bytes, at) => (bytes[at + 7] & 0x7f) !== 0x7f || (bytes[at + 6] & 0xf0) !== 0xf0 };
    case 'IQ1_M':
      // The factor's four nibbles are the top ones of the four 16-bit words of scales.
      return { fault: notFinite, valid: (bytes, at) => isFiniteHalf((bytes[at + 55] & 0xf0) | (bytes[at + 53] >> 4)) };
    case 'MXFP4':
      return { fault: 'has the scale 255, which is NaN', valid: (bytes, at) => bytes[at] !== 255 };
    default:
      return undefined;
  }
}

/** The check of a type's blocks; undefined for types whose every byte is valid. */
export function blockCheck(type: string, blockBytes: number): BlockCheck | undefined {
  const check = validity(type);
  if (!check) return undefined;
  const { fault, valid } = check;
  return {
    fault,
    scan(bytes) {
      let count = 0;
      let first = -1;
      for (let at = 0; at < bytes.length; at += blockBytes)
        if (!valid(bytes, at)) {
          if (count === 0) first = at / blockBytes;
          count++;
        }
      return { count, first };
    },
  };
}
