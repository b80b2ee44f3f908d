import { toHalf } from './half';

/** Codes 0 … 15 with one scale per 32, as blocks of Q4_0: byte j holds elements j and j + 16. */
export function packQ4_0(rows: i32, codes: usize, scales: usize, blocks: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 32; block++, codes += 32, scales += 4, blocks += 18) {
    store<u16>(blocks, toHalf(load<f32>(scales)));
    v128.store(blocks + 2, v128.or(v128.load(codes), i8x16.shl(v128.load(codes, 16), 4)));
  }
}

/** Codes 0 … 255 with one scale per 32, as blocks of Q8_0, whose codes are signed. */
export function packQ8_0(rows: i32, codes: usize, scales: usize, blocks: usize, columns: i32): void {
  const middle = i8x16.splat(-128);
  for (let block = 0; block < (rows * columns) / 32; block++, codes += 32, scales += 4, blocks += 34) {
    store<u16>(blocks, toHalf(load<f32>(scales)));
    v128.store(blocks + 2, v128.xor(v128.load(codes), middle));
    v128.store(blocks + 2, v128.xor(v128.load(codes, 16), middle), 16);
  }
}
