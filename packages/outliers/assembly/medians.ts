/** Longest row: as many values as the scratch memory holds. */
const MAX_COLUMNS: i32 = 1 << 17;
const scratch = memory.data(4 << 17, 16);

/** The median of |x| of each row: exact, the mean of the two middle values of an even number. */
export function rowMedians(rows: i32, x: usize, medians: usize, columns: i32): void {
  if (columns > MAX_COLUMNS) unreachable();
  const half = columns >> 1;
  for (let r = 0; r < rows; r++) {
    const row = x + ((<usize>r * <usize>columns) << 2);
    let c = 0;
    for (; c + 4 <= columns; c += 4) v128.store(scratch + ((<usize>c) << 2), f32x4.abs(v128.load(row + ((<usize>c) << 2))));
    for (; c < columns; c++) store<f32>(scratch + ((<usize>c) << 2), abs<f32>(load<f32>(row + ((<usize>c) << 2))));
    let median: f32 = 0;
    if (columns > 0) {
      median = select(half, columns);
      if ((columns & 1) == 0) {
        // The value before is the largest of what stands before it now.
        let before: f32 = 0;
        for (let i = 0; i < half; i++) before = max<f32>(before, load<f32>(scratch + ((<usize>i) << 2)));
        median = (median + before) * 0.5;
      }
    }
    store<f32>(medians + ((<usize>r) << 2), median);
  }
}

/** Hoare's selection: the value that stands at `k` when sorted; smaller ones stand before it afterwards. Floats of one sign are ordered as their bits. */
function select(k: i32, count: i32): f32 {
  let first = 0;
  let last = count - 1;
  while (first < last) {
    const pivot = at(first + ((last - first) >> 1));
    let i = first - 1;
    let j = last + 1;
    while (true) {
      do i++;
      while (at(i) < pivot);
      do j--;
      while (at(j) > pivot);
      if (i >= j) break;
      const held = at(i);
      store<u32>(scratch + ((<usize>i) << 2), at(j));
      store<u32>(scratch + ((<usize>j) << 2), held);
    }
    if (k <= j) last = j;
    else first = j + 1;
  }
  return load<f32>(scratch + ((<usize>k) << 2));
}

function at(index: i32): u32 {
  return load<u32>(scratch + ((<usize>index) << 2));
}
