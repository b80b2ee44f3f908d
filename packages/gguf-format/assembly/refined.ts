import { MINS as PAIR_MIN_CODES, PAIR_MINS, SCALES as PAIR_SCALE_CODES, PAIR_SCALES, packPairs, unpackPairs } from './affine-super-block';
import { fromHalf, toHalf } from './half';
import { CODES as AFFINE_CODES } from './plain-affine';
import { CODES as SYMMETRIC_CODES } from './plain-symmetric';
import { decodeQ2_K, encodeQ2_K } from './q2-k';
import { decodeQ3_K, encodeQ3_K, pack as packQ3_K, CODES as Q3_K_CODES, SIX_BITS, unpackScales } from './q3-k';
import { decodeQ4_0, encodeQ4_0, storeBlock as storeQ4_0 } from './q4-0';
import { decodeQ4_1, encodeQ4_1, storeBlock as storeQ4_1 } from './q4-1';
import { decodeQ4_K, encodeQ4_K, packNibblePlanes } from './q4-k';
import { decodeQ5_0, encodeQ5_0, storeBlock as storeQ5_0 } from './q5-0';
import { decodeQ5_1, encodeQ5_1, storeBlock as storeQ5_1 } from './q5-1';
import { decodeQ5_K, encodeQ5_K, pack as packQ5_K } from './q5-k';
import { decodeQ6_K, encodeQ6_K, pack as packQ6_K } from './q6-k';
import { CODES, d, decodedError, describe, dmin, MINS, refine, SCALES, setFactors, weightsOf } from './refine';
import { packTwoBits } from './two-bit-planes';

/** The block as the plain search leaves it, decoded. */
const DECODED: usize = memory.data(1024, 16);
/** First factors on either side of the plain search's, how far apart: of blocks with one scale, and of super-blocks. */
const PLAIN_STARTS: i32 = 12;
const PLAIN_SPREAD: f32 = 0.015;
const STARTS: i32 = 1;
const SPREAD: f32 = 0.04;

function halfAt(at: usize): f32 {
  return fromHalf(load<u16>(at));
}

function setInteger(group: i32, scale: i32, min: i32): void {
  store<i32>(SCALES + group * 4, scale);
  store<i32>(MINS + group * 4, min);
}

export function encodeRefinedQ4_0(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  encodeQ4_0(rows, x, importance, blocks, columns);
  describe(1, 32, -8, 7, 1, 1, 0, false);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 32, x += 128, blocks += 18) {
      decodeQ4_0(1, blocks, DECODED, 32);
      if (!refineSymmetric(x, importance ? importance + column * 4 : 0, blocks)) continue;
      storeQ4_0(d, blocks);
    }
}

export function encodeRefinedQ5_0(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  encodeQ5_0(rows, x, importance, blocks, columns);
  describe(1, 32, -16, 15, 1, 1, 0, false);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 32, x += 128, blocks += 22) {
      decodeQ5_0(1, blocks, DECODED, 32);
      if (!refineSymmetric(x, importance ? importance + column * 4 : 0, blocks)) continue;
      storeQ5_0(d, blocks);
    }
}

function refineSymmetric(x: usize, importance: usize, block: usize): bool {
  setFactors(halfAt(block), 0);
  setInteger(0, 1, 0);
  const w = weightsOf(importance);
  const found = refine(x, w, decodedError(x, w, DECODED), PLAIN_STARTS, PLAIN_SPREAD);
  if (found) memory.copy(SYMMETRIC_CODES, CODES, 32);
  return found;
}

export function encodeRefinedQ4_1(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  encodeQ4_1(rows, x, importance, blocks, columns);
  describe(1, 32, 0, 15, 1, 1, 1, true);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 32, x += 128, blocks += 20) {
      decodeQ4_1(1, blocks, DECODED, 32);
      if (!refineAffine(x, importance ? importance + column * 4 : 0, blocks)) continue;
      storeQ4_1(d, -dmin, blocks);
    }
}

export function encodeRefinedQ5_1(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  encodeQ5_1(rows, x, importance, blocks, columns);
  describe(1, 32, 0, 31, 1, 1, 1, true);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 32, x += 128, blocks += 24) {
      decodeQ5_1(1, blocks, DECODED, 32);
      if (!refineAffine(x, importance ? importance + column * 4 : 0, blocks)) continue;
      storeQ5_1(d, -dmin, blocks);
    }
}

function refineAffine(x: usize, importance: usize, block: usize): bool {
  setFactors(halfAt(block), -halfAt(block + 2));
  setInteger(0, 1, 1);
  const w = weightsOf(importance);
  const found = refine(x, w, decodedError(x, w, DECODED), PLAIN_STARTS, PLAIN_SPREAD);
  if (found) memory.copy(AFFINE_CODES, CODES, 32);
  return found;
}

export function encodeRefinedQ2_K(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  encodeQ2_K(rows, x, importance, blocks, columns);
  describe(16, 16, 0, 3, 0, 15, 15, true);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += 84) {
      setFactors(halfAt(blocks + 80), halfAt(blocks + 82));
      for (let j = 0; j < 16; j++) setInteger(j, load<u8>(blocks + j) & 15, load<u8>(blocks + j) >> 4);
      decodeQ2_K(1, blocks, DECODED, 256);
      if (!refineSuperBlock(x, importance ? importance + column * 4 : 0)) continue;
      for (let j = 0; j < 16; j++) store<u8>(blocks + j, load<i32>(SCALES + j * 4) | (load<i32>(MINS + j * 4) << 4));
      packTwoBits(CODES, blocks + 16);
      packTwoBits(CODES + 128, blocks + 48);
      store<u16>(blocks, toHalf(d), 80);
      store<u16>(blocks, toHalf(dmin), 82);
    }
}

export function encodeRefinedQ3_K(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  encodeQ3_K(rows, x, importance, blocks, columns);
  describe(16, 16, -4, 3, -32, 31, 0, false);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += 110) {
      setFactors(halfAt(blocks + 108), 0);
      v128.store(SIX_BITS, unpackScales(blocks + 96));
      for (let j = 0; j < 16; j++) setInteger(j, <i32>load<u8>(SIX_BITS + j) - 32, 0);
      decodeQ3_K(1, blocks, DECODED, 256);
      if (!refineSuperBlock(x, importance ? importance + column * 4 : 0)) continue;
      for (let j = 0; j < 16; j++) store<u8>(SIX_BITS + j, load<i32>(SCALES + j * 4) + 32);
      memory.copy(Q3_K_CODES, CODES, 256);
      packQ3_K(blocks);
      store<u16>(blocks, toHalf(d), 108);
    }
}

export function encodeRefinedQ6_K(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  encodeQ6_K(rows, x, importance, blocks, columns);
  describe(16, 16, -32, 31, -128, 127, 0, false);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += 210) {
      setFactors(halfAt(blocks + 208), 0);
      for (let j = 0; j < 16; j++) setInteger(j, load<i8>(blocks + 192 + j), 0);
      decodeQ6_K(1, blocks, DECODED, 256);
      if (!refineSuperBlock(x, importance ? importance + column * 4 : 0)) continue;
      for (let j = 0; j < 16; j++) store<i8>(blocks + 192 + j, load<i32>(SCALES + j * 4));
      packQ6_K(CODES, blocks);
      store<u16>(blocks, toHalf(d), 208);
    }
}

export function encodeRefinedQ4_K(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  encodeQ4_K(rows, x, importance, blocks, columns);
  describe(8, 32, 0, 15, 0, 63, 63, true);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += 144) {
      decodeQ4_K(1, blocks, DECODED, 256);
      if (refinePairs(x, importance ? importance + column * 4 : 0, blocks)) packNibblePlanes(CODES, blocks + 16);
    }
}

export function encodeRefinedQ5_K(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  encodeQ5_K(rows, x, importance, blocks, columns);
  describe(8, 32, 0, 31, 0, 63, 63, true);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += 176) {
      decodeQ5_K(1, blocks, DECODED, 256);
      if (refinePairs(x, importance ? importance + column * 4 : 0, blocks)) packQ5_K(CODES, blocks);
    }
}

/** The halves, scales and minima of Q4_K and Q5_K. */
function refinePairs(x: usize, importance: usize, block: usize): bool {
  setFactors(halfAt(block), halfAt(block + 2));
  unpackPairs(block + 4);
  for (let j = 0; j < 8; j++) setInteger(j, load<u8>(PAIR_SCALES + j), load<u8>(PAIR_MINS + j));
  if (!refineSuperBlock(x, importance)) return false;
  for (let j = 0; j < 8; j++) {
    store<u8>(PAIR_SCALE_CODES + j, load<i32>(SCALES + j * 4));
    store<u8>(PAIR_MIN_CODES + j, load<i32>(MINS + j * 4));
  }
  packPairs(block + 4);
  store<u16>(block, toHalf(d));
  store<u16>(block, toHalf(dmin), 2);
  return true;
}

function refineSuperBlock(x: usize, importance: usize): bool {
  const w = weightsOf(importance);
  return refine(x, w, decodedError(x, w, DECODED), STARTS, SPREAD);
}
