/** LSB-first bitstream of each row. Eight codes make `bits` whole bytes, so they are put together in one register. */
export function packBits(rows: i32, codes: usize, packed: usize, columns: i32, bits: i32): void {
  const rowBytes = (columns * bits + 7) / 8;
  for (let r: i32 = 0; r < rows; r++, codes += columns, packed += rowBytes) {
    let at = packed;
    let c: i32 = 0;
    for (; c + 8 <= columns; c += 8, at += bits) {
      let word: u64 = 0;
      for (let i: i32 = 0; i < 8; i++) word |= (<u64>load<u8>(codes + c + i)) << (i * bits);
      storeLow(at, word, bits);
    }
    let word: u64 = 0;
    let held: i32 = 0;
    for (; c < columns; c++, held += bits) word |= (<u64>load<u8>(codes + c)) << held;
    storeLow(at, word, (held + 7) >> 3);
  }
}

export function unpackBits(rows: i32, packed: usize, codes: usize, columns: i32, bits: i32): void {
  const rowBytes = (columns * bits + 7) / 8;
  const mask: u64 = (1 << bits) - 1;
  for (let r: i32 = 0; r < rows; r++, codes += columns, packed += rowBytes) {
    let at = packed;
    let c: i32 = 0;
    for (; c + 8 <= columns; c += 8, at += bits) {
      const word = loadLow(at, bits);
      for (let i: i32 = 0; i < 8; i++) store<u8>(codes + c + i, <u8>((word >> (i * bits)) & mask));
    }
    if (c == columns) continue;
    const word = loadLow(at, ((columns - c) * bits + 7) >> 3);
    for (let held: i32 = 0; c < columns; c++, held += bits) store<u8>(codes + c, <u8>((word >> held) & mask));
  }
}

/** Byte by byte, so that nothing beyond the row is touched. */
function storeLow(at: usize, word: u64, bytes: i32): void {
  for (let i: i32 = 0; i < bytes; i++) store<u8>(at + i, <u8>(word >> (i << 3)));
}

function loadLow(at: usize, bytes: i32): u64 {
  let word: u64 = 0;
  for (let i: i32 = 0; i < bytes; i++) word |= (<u64>load<u8>(at + i)) << (i << 3);
  return word;
}
