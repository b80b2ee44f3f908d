/** `core.gridUse`, operation by operation. */
export function gridUse(
  rows: i32,
  w: usize,
  codes: usize,
  scales: usize,
  zeroPoints: usize,
  counts: usize,
  clipped: usize,
  columns: i32,
  groups: i32,
  bits: i32,
  groupSize: i32,
): void {
  const top = (1 << bits) - 1;
  memory.fill(counts, 0, ((<usize>rows) << 2) << bits);
  for (let r: i32 = 0; r < rows; r++) {
    const row = <usize>r * columns;
    const own = counts + (((<usize>r) << bits) << 2);
    let beyond: i32 = 0;
    for (let g: i32 = 0; g * groupSize < columns; g++) {
      const at = <usize>r * groups + g;
      const scale = load<f32>(scales + (at << 2));
      const zero = <i32>load<u8>(zeroPoints + at);
      const limit = scale * <f32>0.501;
      const first = scale * <f32>-zero;
      const last = scale * <f32>(top - zero);
      const end = min(columns, (g + 1) * groupSize);
      for (let c = g * groupSize; c < end; c++) {
        const code = <i32>load<u8>(codes + row + c);
        if (code > top) unreachable();
        const count = own + ((<usize>code) << 2);
        store<i32>(count, load<i32>(count) + 1);
        if (code == 0) beyond += i32(first - load<f32>(w + ((row + c) << 2)) > limit);
        else if (code == top) beyond += i32(load<f32>(w + ((row + c) << 2)) - last > limit);
      }
    }
    store<i32>(clipped + ((<usize>r) << 2), beyond);
  }
}
