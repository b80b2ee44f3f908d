export function relativeMagnitudes(_rows: i32, w: usize, sums: usize, count: i32, columns: i32, groupSize: i32): void {
  memory.fill(sums, 0, (<usize>columns) << 3);
  for (let r: i32 = 0; r < count; r++) {
    const row = w + ((<usize>r * columns) << 2);
    for (let start: i32 = 0; start < columns; start += groupSize) {
      const end = min(columns, start + groupSize);
      let largest: f32 = 0;
      for (let c = start; c < end; c++) largest = max(largest, abs(load<f32>(row + ((<usize>c) << 2))));
      const divisor = <f64>largest + 1e-6;
      for (let c = start; c < end; c++) {
        const sum = sums + ((<usize>c) << 3);
        store<f64>(sum, load<f64>(sum) + <f64>abs(load<f32>(row + ((<usize>c) << 2))) / divisor);
      }
    }
  }
}
