/** Longest row: as many values as the scratch memory holds. */
const MAX_COLUMNS: i32 = 1 << 17;
const scratch = memory.data((4 << 17) + 4, 16);

/** How many sizes of a row have each exponent and three bits of mantissa. Floats of one sign are ordered as their bits. */
const KEYS: i32 = 2048;
const KEY_SHIFT: u32 = 20;
const keyCounts = memory.data(4 * 2048, 16);

/** The median of |x| of each row: exact, the mean of the two middle values of an even number. */
export function rowMedians(rows: i32, x: usize, medians: usize, columns: i32): void {
  if (columns > MAX_COLUMNS) unreachable();
  for (let r = 0; r < rows; r++) {
    const row = x + ((<usize>r * <usize>columns) << 2);
    store<f32>(medians + ((<usize>r) << 2), columns > 0 ? medianSize(row, columns) : 0);
  }
}

function medianSize(row: usize, columns: i32): f32 {
  const end = row + ((<usize>columns) << 2);
  memory.fill(keyCounts, 0, KEYS << 2);
  for (let address = row; address < end; address += 4) {
    const counter = keyCounts + ((<usize>((load<u32>(address) & 0x7fffffff) >> KEY_SHIFT)) << 2);
    store<i32>(counter, load<i32>(counter) + 1);
  }
  // The upper middle value is the one of this rank among those with its key.
  let rank = columns >> 1;
  let key: u32 = 0;
  for (; rank >= load<i32>(keyCounts + ((<usize>key) << 2)); key++) rank -= load<i32>(keyCounts + ((<usize>key) << 2));
  let count = 0;
  let largestBelow: u32 = 0;
  for (let address = row; address < end; address += 4) {
    const bits = load<u32>(address) & 0x7fffffff;
    store<u32>(scratch + ((<usize>count) << 2), bits);
    count += i32(bits >> KEY_SHIFT == key);
    largestBelow = max<u32>(largestBelow, bits >> KEY_SHIFT < key ? bits : 0);
  }
  const upper = reinterpret<f32>(select(rank, count));
  if (columns & 1) return upper;
  // The lower one stands before it, or is the largest with a smaller key.
  for (let i = 0; i < rank; i++) largestBelow = max<u32>(largestBelow, at(i));
  return (upper + reinterpret<f32>(largestBelow)) * 0.5;
}

/** Hoare's selection: the value that stands at `k` of `count` when sorted; smaller ones stand before it afterwards. */
function select(k: i32, count: i32): u32 {
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
  return at(k);
}

function at(index: i32): u32 {
  return load<u32>(scratch + ((<usize>index) << 2));
}
