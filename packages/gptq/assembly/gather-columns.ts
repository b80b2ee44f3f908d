export function gatherColumns(rows: i32, x: usize, columns: usize, y: usize, n: i32, k: i32): void {
  for (let r = 0; r < rows; r++) {
    const from = x + ((<usize>r * n) << 2);
    for (let i = 0; i < k; i++, y += 4) {
      const column = load<i32>(columns + ((<usize>i) << 2));
      store<f32>(y, column < 0 ? 0 : load<f32>(from + ((<usize>column) << 2)));
    }
  }
}
