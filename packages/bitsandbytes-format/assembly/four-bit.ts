/** Midpoints of neighbouring values, ascending: a weight's rank is the number of them that lie below it. */
const NF4_BOUNDS: usize = memory.data<f32>([
  -0.8480963706970215, -0.6106328964233398, -0.4599952697753906, -0.33967941999435425, -0.23460739850997925, -0.13791173696517944,
  -0.045525018125772476, 0.03979014977812767, 0.120255246758461, 0.2035212516784668, 0.2920137643814087, 0.3893125355243683,
  0.5016634464263916, 0.6427869200706482, 0.8614784479141235,
]);
const NF4_VALUES: usize = memory.data<f32>([
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
  0.7229568362236023, 1,
]);
const FP4_BOUNDS: usize = memory.data<f32>([
  -0.8333333730697632, -0.5833333730697632, -0.4166666865348816, -0.2916666865348816, -0.2083333432674408, -0.0859375,
  -0.0026041667442768812, 0, 0.0026041667442768812, 0.0859375, 0.2083333432674408, 0.2916666865348816, 0.4166666865348816,
  0.5833333730697632, 0.8333333730697632,
]);
const FP4_VALUES: usize = memory.data<f32>([
  0, 0.0052083334885537624, 0.6666666865348816, 1, 0.3333333432674408, 0.5, 0.1666666716337204, 0.25, 0, -0.0052083334885537624,
  -0.6666666865348816, -1, -0.3333333432674408, -0.5, -0.1666666716337204, -0.25,
]);

/** The values of a byte's two codes, of all bytes. */
const NF4_PAIRS: usize = memory.data(256 * 8, 16);
const FP4_PAIRS: usize = memory.data(256 * 8, 16);

export function encodeNF4(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32, blockSize: i32): void {
  encode(rows * columns, x, blocks, blockSize, NF4_BOUNDS, i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

export function encodeFP4(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32, blockSize: i32): void {
  encode(rows * columns, x, blocks, blockSize, FP4_BOUNDS, i8x16(11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3));
}

export function decodeNF4(rows: i32, blocks: usize, x: usize, columns: i32, blockSize: i32): void {
  decode(rows * columns, blocks, x, blockSize, NF4_PAIRS, NF4_VALUES);
}

export function decodeFP4(rows: i32, blocks: usize, x: usize, columns: i32, blockSize: i32): void {
  decode(rows * columns, blocks, x, blockSize, FP4_PAIRS, FP4_VALUES);
}

/** Each block: its largest magnitude in f32, then two codes a byte, the first in the high bits. `codes` lists the code of each rank. */
function encode(count: i32, x: usize, blocks: usize, blockSize: i32, bounds: usize, codes: v128): void {
  for (let start = 0; start < count; start += blockSize) {
    let largest = f32x4.splat(0);
    for (let i = 0; i < blockSize; i += 4) largest = f32x4.max(largest, f32x4.abs(v128.load(x + i * 4)));
    largest = f32x4.max(largest, v128.shuffle<f32>(largest, largest, 2, 3, 0, 1));
    largest = f32x4.max(largest, v128.shuffle<f32>(largest, largest, 1, 0, 3, 2));
    const absmax = f32x4.extract_lane(largest, 0);
    store<f32>(blocks, absmax);
    const inverse = f32x4.splat(<f32>1 / max(absmax, <f32>1e-38));
    blocks += 4;
    for (let i = 0; i < blockSize; i += 32, x += 128, blocks += 16)
      v128.store(blocks, i8x16.narrow_i16x8_u(pairs(x, inverse, bounds, codes), pairs(x + 64, inverse, bounds, codes)));
  }
}

/** Bytes of two codes each of 16 weights, in 16-bit lanes. */
function pairs(x: usize, inverse: v128, bounds: usize, codes: v128): v128 {
  const low = i16x8.narrow_i32x4_s(ranks(x, inverse, bounds), ranks(x + 16, inverse, bounds));
  const high = i16x8.narrow_i32x4_s(ranks(x + 32, inverse, bounds), ranks(x + 48, inverse, bounds));
  const coded = i8x16.swizzle(codes, i8x16.narrow_i16x8_u(low, high));
  return v128.or(v128.and(i16x8.shl(coded, 4), i16x8.splat(0xf0)), i16x8.shr_u(coded, 8));
}

function ranks(x: usize, inverse: v128, bounds: usize): v128 {
  const scaled = f32x4.mul(v128.load(x), inverse);
  let rank = i32x4.splat(0);
  for (let i = 0; i < 15; i++) rank = i32x4.sub(rank, f32x4.gt(scaled, v128.load32_splat(bounds + i * 4)));
  return rank;
}

function decode(count: i32, blocks: usize, x: usize, blockSize: i32, table: usize, values: usize): void {
  // An entry that is never zero tells whether the table has been filled.
  if (load<f32>(table + 17 * 8) == 0) fillPairs(table, values);
  for (let start = 0; start < count; start += blockSize) {
    const scale = v128.load32_splat(blocks);
    blocks += 4;
    for (let i = 0; i < blockSize; i += 4, x += 16, blocks += 2) {
      const first = v128.load64_zero(table + ((<usize>load<u8>(blocks)) << 3));
      v128.store(x, f32x4.mul(v128.load64_lane(table + ((<usize>load<u8>(blocks, 1)) << 3), first, 1), scale));
    }
  }
}

function fillPairs(table: usize, values: usize): void {
  for (let byte: usize = 0; byte < 256; byte++) {
    store<f32>(table + byte * 8, load<f32>(values + (byte >> 4) * 4));
    store<f32>(table + byte * 8, load<f32>(values + (byte & 15) * 4), 4);
  }
}
