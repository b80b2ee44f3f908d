import { IQ1_POINTS } from '../src/codebooks/iq1.data';
import { IQ2_S_POINTS } from '../src/codebooks/iq2-s.data';
import { IQ2_XS_POINTS } from '../src/codebooks/iq2-xs.data';
import { IQ2_XXS_POINTS } from '../src/codebooks/iq2-xxs.data';
import { IQ3_S_POINTS } from '../src/codebooks/iq3-s.data';
import { IQ3_XXS_POINTS } from '../src/codebooks/iq3-xxs.data';
import { TABLE_BYTES } from './codebook-bytes';

/** A codebook (src/codebooks/codebook.ts), made when first used. The place of a point is how many bytes after `values` its values begin. */
@unmanaged
export class Codebook {
  /** Elements of a point, 8 or 4. */
  size: i32;
  radix: i32;
  shells: i32;
  count: i32;
  /** Levels of all points, a byte each. */
  points: usize;
  /** The same as floats: 1, 3, … in IQ2 and IQ3; −1, 0 and 1 in IQ1, moved up by an eighth, and behind all points moved down by an eighth. */
  values: usize;
  /** By key: one more than the place of the point; or minus the place in {@link SPACE} of what is near; 0 where that has not been looked for yet. */
  map: usize;
}

/** Room for the tables of all codebooks, taken from the start as they are made. */
const SPACE: usize = memory.data(TABLE_BYTES, 16);
let taken: i32 = 16;
const BOOKS: usize = memory.data(6 * 32, 16);

function take(bytes: i32): usize {
  const at = SPACE + taken;
  taken += (bytes + 15) & ~15;
  return at;
}

export function bookIQ2_XXS(): Codebook {
  return book(0, IQ2_XXS_POINTS, 256, 8, 2);
}

export function bookIQ2_XS(): Codebook {
  return book(1, IQ2_XS_POINTS, 512, 8, 2);
}

export function bookIQ2_S(): Codebook {
  return book(2, IQ2_S_POINTS, 1024, 8, 1);
}

export function bookIQ3_XXS(): Codebook {
  return book(3, IQ3_XXS_POINTS, 256, 4, 2);
}

export function bookIQ3_S(): Codebook {
  return book(4, IQ3_S_POINTS, 512, 4, 3);
}

export function bookIQ1(): Codebook {
  return book(5, IQ1_POINTS, 2048, 8, 3);
}

function book(number: i32, base64: string, count: i32, size: i32, shells: i32): Codebook {
  const book = changetype<Codebook>(BOOKS + number * 32);
  if (book.size) return book;
  book.size = size;
  book.radix = size == 8 ? 3 : 8;
  book.shells = shells;
  book.count = count;
  book.points = take(count * size);
  const ternary = number == 5;
  book.values = take(count * size * (ternary ? 8 : 4));
  const keys = size == 8 ? 6561 : 4096;
  book.map = take(keys * 4);
  let element = 0;
  for (let key = 0; key < keys; key++) {
    if (!bit(base64, key)) continue;
    store<i32>(book.map + key * 4, element * 4 + 1);
    for (let i = 0, rest = key; i < size; i++, rest /= book.radix, element++) {
      const level = rest % book.radix;
      store<u8>(book.points + element, level);
      store<f32>(book.values + element * 4, ternary ? <f32>(level - 1) + 0.125 : <f32>(level * 2 + 1));
      if (ternary) store<f32>(book.values + (count * size + element) * 4, <f32>(level - 1) - 0.125);
    }
  }
  return book;
}

/** Bit k of base64 text, from the lowest of each byte. */
function bit(base64: string, k: i32): bool {
  const byte = k >> 3;
  const at = changetype<usize>(base64) + 2 * ((byte / 3) * 4 + (byte % 3));
  const pair = (sixBits(load<u16>(at)) << 6) | sixBits(load<u16>(at, 2));
  return ((pair >> (4 - 2 * (byte % 3) + (k & 7))) & 1) != 0;
}

function sixBits(character: u32): u32 {
  if (character >= 97) return character - 71;
  if (character >= 65) return character - 65;
  return character >= 48 ? character + 4 : character == 43 ? 62 : 63;
}

const DISTANCES: usize = memory.data(2048, 16);
/** How many points are at each distance, then where those of that distance begin in the list. */
const STARTS: usize = memory.data(4 * 200, 16);

/** The list of points near the levels of a key that is no point (`nearby` in src/codebooks/codebook.ts). */
export function nearby(book: Codebook, key: i32, entry: i32): usize {
  return entry < 0 ? SPACE - entry : makeList(book, key);
}

function makeList(book: Codebook, key: i32): usize {
  let vector: i64 = 0;
  for (let i = 0, rest = key; i < book.size; i++, rest /= book.radix) vector |= (<i64>(rest % book.radix)) << (8 * i);
  const levels = i64x2.splat(vector);
  memory.fill(STARTS, 0, 4 * 200);
  for (let n = 0; n < book.count; n++) {
    const at = book.points + n * book.size;
    const difference = i8x16.sub(levels, book.size == 8 ? v128.load64_zero(at) : v128.load32_zero(at));
    const squares = i16x8.extmul_low_i8x16_s(difference, difference);
    const distance = sumOfLanes(i32x4.dot_i16x8_s(squares, i16x8.splat(1)));
    store<u8>(DISTANCES + n, distance);
    store<i32>(STARTS + distance * 4, load<i32>(STARTS + distance * 4) + 1);
  }
  let candidates = 0;
  let last = 0;
  for (let shells = 0; shells < book.shells; last++) {
    const here = load<i32>(STARTS + last * 4);
    store<i32>(STARTS + last * 4, candidates);
    candidates += here;
    if (here) shells++;
  }
  const fours = (candidates + 3) >> 2;
  store<i32>(book.map + key * 4, -taken);
  // A u32 of the fours of candidates, then u16 places of points; the last is repeated to fill four.
  const list = take(4 + fours * 8);
  store<u32>(list, fours);
  let furthest = 0;
  for (let n = 0; n < book.count; n++) {
    const distance = load<u8>(DISTANCES + n);
    if (<i32>distance >= last) continue;
    const at = load<i32>(STARTS + distance * 4);
    store<i32>(STARTS + distance * 4, at + 1);
    store<u16>(list + 4 + at * 2, n * book.size * 4);
    if (at + 1 == candidates) furthest = n * book.size * 4;
  }
  for (let at = candidates; at < fours * 4; at++) store<u16>(list + 4 + at * 2, furthest);
  return list;
}

export function sumOfLanes(lanes: v128): i32 {
  const pairs = i32x4.add(lanes, v128.shuffle<i32>(lanes, lanes, 2, 3, 0, 1));
  return i32x4.extract_lane(pairs, 0) + i32x4.extract_lane(pairs, 1);
}
