/** Side of the square that is transposed at a time, so that both sides stay in the cache. */
const TILE: i32 = 32;

function transposeOf<T>(rows: i32, x: usize, y: usize, columns: i32): void {
  for (let r0: i32 = 0; r0 < rows; r0 += TILE)
    for (let c0: i32 = 0; c0 < columns; c0 += TILE) {
      const r1 = min(rows, r0 + TILE);
      const c1 = min(columns, c0 + TILE);
      for (let c = c0; c < c1; c++)
        for (let r = r0; r < r1; r++)
          store<T>(y + (<usize>c * rows + r) * sizeof<T>(), load<T>(x + (<usize>r * columns + c) * sizeof<T>()));
    }
}

export function transpose1(rows: i32, x: usize, y: usize, columns: i32): void {
  transposeOf<u8>(rows, x, y, columns);
}

export function transpose2(rows: i32, x: usize, y: usize, columns: i32): void {
  transposeOf<u16>(rows, x, y, columns);
}

export function transpose4(rows: i32, x: usize, y: usize, columns: i32): void {
  transposeOf<u32>(rows, x, y, columns);
}

export function transpose8(rows: i32, x: usize, y: usize, columns: i32): void {
  transposeOf<u64>(rows, x, y, columns);
}

/** Copies `rows` runs of `bytes`, from lines `sourceStride` bytes apart to lines `targetStride` bytes apart. */
export function copyRectangle(rows: i32, source: usize, target: usize, bytes: usize, sourceStride: usize, targetStride: usize): void {
  for (let r: i32 = 0; r < rows; r++) memory.copy(target + <usize>r * targetStride, source + <usize>r * sourceStride, bytes);
}
