export function clampRows(rows: i32, w: usize, bounds: usize, y: usize, columns: i32): void {
  for (let r: i32 = 0; r < rows; r++) {
    const bound = load<f32>(bounds + ((<usize>r) << 2));
    const offset = (<usize>r * columns) << 2;
    let c: i32 = 0;
    const high = f32x4.splat(bound);
    const low = f32x4.splat(-bound);
    for (; c + 4 <= columns; c += 4) {
      const at = offset + ((<usize>c) << 2);
      v128.store(y + at, f32x4.max(low, f32x4.min(high, v128.load(w + at))));
    }
    for (; c < columns; c++) {
      const at = offset + ((<usize>c) << 2);
      store<f32>(y + at, max(-bound, min(bound, load<f32>(w + at))));
    }
  }
}
