export function diagonal(_rows: i32, h: usize, out: usize, n: i32): void {
  for (let i = 0; i < n; i++) store<f32>(out + ((<usize>i) << 2), load<f32>(h + ((<usize>i * <usize>n + <usize>i) << 2)));
}

export function arrange(_rows: i32, h: usize, values: usize, order: usize, y: usize, n: i32): void {
  const width = (<usize>n) << 2;
  memory.fill(y, 0, width * <usize>n);
  for (let i = 0; i < n; i++) {
    const a = load<i32>(order + ((<usize>i) << 2));
    const own = h + <usize>a * width;
    const out = y + <usize>i * width;
    store<f32>(out + ((<usize>i) << 2), load<f32>(values + ((<usize>a) << 2)));
    for (let j = i + 1; j < n; j++) {
      const b = load<i32>(order + ((<usize>j) << 2));
      const from = a < b ? own + ((<usize>b) << 2) : h + <usize>b * width + ((<usize>a) << 2);
      store<f32>(out + ((<usize>j) << 2), load<f32>(from));
    }
  }
}
