const f = Math.fround;
const LARGEST = f(3.4028234663852886e38);

/** Values of the levels 0, 1 and 2 of IQ1 in units of the scale, moved up and down by an eighth. */
export const SHIFTED_UP: readonly number[] = [-0.875, 0.125, 1.125];
export const SHIFTED_DOWN: readonly number[] = [-1.125, -0.125, 0.875];

/** Which values a sub-block takes, by the shifts of its two halves; opposite ones are at opposite places. */
export const SHIFTS: readonly (readonly [first: readonly number[], second: readonly number[]])[] = [
  [SHIFTED_UP, SHIFTED_UP],
  [SHIFTED_UP, SHIFTED_DOWN],
  [SHIFTED_DOWN, SHIFTED_UP],
  [SHIFTED_DOWN, SHIFTED_DOWN],
];

export interface TernarySplit {
  readonly scale: number;
  readonly levels: Uint8Array;
  /** Place in {@link SHIFTS}. */
  readonly shift: number;
}

/**
 * The levels of a sub-block for IQ1 before they are rounded to points: of all ways to cut the ascending values in three, and of the given shifts, the one with the
 * largest `(Σ w x q)² / Σ w q²`. `Σ w x q / Σ w q²` is the scale; where that is negative, levels and shift are turned round. Undefined where no way has weight.
 *
 * @param sumsOf `Σ w x q` and `Σ w q²` for each shift of a way to cut
 */
export function searchSplit(
  x: Float32Array,
  weights: Float32Array,
  shifts: readonly number[],
  sumsOf: (
    order: Uint8Array,
    x: Float32Array,
    weights: Float32Array,
  ) => (low: number, high: number, shift: number) => readonly [number, number],
): TernarySplit | undefined {
  const order = Uint8Array.from(x.keys()).sort((a, b) => (x[a] < x[b] ? -1 : x[a] > x[b] ? 1 : a - b));
  const sums = sumsOf(order, x, weights);
  let best = -LARGEST;
  let found: { low: number; high: number; shift: number; scale: number } | undefined;
  for (let low = 0; low <= x.length; low++)
    for (let high = low; high <= x.length; high++)
      for (const shift of shifts) {
        const [sumXq, sumQq] = sums(low, high, shift);
        if (!(sumQq > 0 && f(sumXq * sumXq) > f(best * sumQq))) continue;
        const scale = f(sumXq / sumQq);
        best = f(scale * sumXq);
        found = { low, high, shift, scale };
      }
  // ggml ends the program for what is not a number.
  if (!found || Number.isNaN(found.scale)) return undefined;
  const levels = new Uint8Array(x.length);
  const turned = found.scale < 0;
  for (const [place, element] of order.entries()) {
    const level = place < found.low ? 0 : place < found.high ? 1 : 2;
    levels[element] = turned ? 2 - level : level;
  }
  return { scale: Math.abs(found.scale), levels, shift: turned ? 3 - found.shift : found.shift };
}

/** Sums from those of the ascending values: what IQ1_S does. Both halves have the same shift. */
export function cumulatedSums(order: Uint8Array, x: Float32Array, weights: Float32Array) {
  const sumX = new Float32Array(x.length + 1);
  const sumW = new Float32Array(x.length + 1);
  for (const [place, element] of order.entries()) {
    sumX[place + 1] = sumX[place] + f(weights[element] * x[element]);
    sumW[place + 1] = sumW[place] + weights[element];
  }
  return (low: number, high: number, shift: number): readonly [number, number] => {
    const [values] = SHIFTS[shift];
    const part = (of: Float32Array, from: number, to: number, value: number) => f(f(of[to] - of[from]) * value);
    const sumXq = f(f(part(sumX, 0, low, values[0]) + part(sumX, low, high, values[1])) + part(sumX, high, x.length, values[2]));
    const square = (from: number, to: number, value: number) => f(part(sumW, from, to, value) * value);
    return [sumXq, f(f(square(0, low, values[0]) + square(low, high, values[1])) + square(high, x.length, values[2]))];
  };
}

/** Sums of each element in ascending order of values: what IQ1_M does. */
export function directSums(order: Uint8Array, x: Float32Array, weights: Float32Array) {
  return (low: number, high: number, shift: number): readonly [number, number] => {
    let sumXq = 0;
    let sumQq = 0;
    for (const [place, element] of order.entries()) {
      const value = SHIFTS[shift][element < x.length / 2 ? 0 : 1][place < low ? 0 : place < high ? 1 : 2];
      const wq = f(weights[element] * value);
      sumXq = f(sumXq + f(wq * x[element]));
      sumQq = f(sumQq + f(wq * value));
    }
    return [sumXq, sumQq];
  };
}
