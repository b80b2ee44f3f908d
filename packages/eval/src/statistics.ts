/** One row of values per window, kept in the order of the windows whatever the order of arrival. */
export interface WindowValues {
  set(window: number, values: Float32Array): void;
  /** All values, windows in order. */
  all(): Float32Array;
  /** The rows of the windows that are there, in order. */
  rows(): readonly Float32Array[];
}

export function windowValues(): WindowValues {
  const kept: Float32Array[] = [];
  const present = () => kept.filter(() => true);
  return {
    set(window, values) {
      kept[window] = values;
    },
    rows: present,
    all() {
      const joined = new Float32Array(present().reduce((sum, row) => sum + row.length, 0));
      let at = 0;
      for (const row of present()) {
        joined.set(row, at);
        at += row.length;
      }
      return joined;
    },
  };
}

/** A measured value and its standard error. */
export interface Estimate {
  readonly value: number;
  readonly standardError: number;
}

/** Mean and its standard error (sample standard deviation / √n, values taken as independent), both in f64. */
export function meanAndError(values: ArrayLike<number>): { readonly mean: number; readonly standardError: number } {
  const { mean, variance } = moments(values);
  return { mean, standardError: Math.sqrt(variance) };
}

export function estimate(values: ArrayLike<number>): Estimate {
  const { mean, standardError } = meanAndError(values);
  return { value: mean, standardError };
}

/** Mean, and the variance of the mean: sample variance / n, 0 for one value. Two passes in f64. */
export function moments(values: ArrayLike<number>): { readonly mean: number; readonly variance: number } {
  const n = values.length;
  let sum = 0;
  for (let i = 0; i < n; i++) sum += values[i];
  const mean = sum / n;
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (values[i] - mean) ** 2;
  return { mean, variance: n > 1 ? squares / (n - 1) / n : 0 };
}

/** The covariance of the means of two paired lists. */
export function covarianceOfMeans(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const n = a.length;
  if (n < 2) return 0;
  const [{ mean: meanA }, { mean: meanB }] = [moments(a), moments(b)];
  let sum = 0;
  for (let i = 0; i < n; i++) sum += (a[i] - meanA) * (b[i] - meanB);
  return sum / (n - 1) / n;
}

/** The value below which the fraction `at` of ascending values lies, interpolated linearly between neighbours. */
export function quantile(sorted: ArrayLike<number>, at: number): number {
  const position = at * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  const part = position - below;
  return part === 0 ? sorted[below] : sorted[below] + part * (sorted[above] - sorted[below]);
}

/** A point of a distribution: the fraction `at` of all values is at most `value`. */
export interface Percentile {
  readonly at: number;
  readonly value: number;
}

const POINTS = [1, 0.999, 0.99, 0.95, 0.9, 0.75, 0.5, 0.25, 0.1, 0.05, 0.01, 0.001, 0];

/** Maximum, 99.9, 99, 95, 90, 75 %, median, 25, 10, 5, 1, 0.1 %, minimum. */
export function percentiles(sorted: ArrayLike<number>): Percentile[] {
  return POINTS.map((at) => ({ at, value: quantile(sorted, at) }));
}

/** Counts of values between edges: bin i holds `edges[i] ≤ value < edges[i + 1]`, the first and the last also what lies beyond. */
export interface Histogram {
  readonly edges: readonly number[];
  readonly counts: readonly number[];
}

export function histogram(values: ArrayLike<number>, edges: readonly number[]): Histogram {
  const counts = new Array<number>(edges.length - 1).fill(0);
  for (let i = 0; i < values.length; i++) {
    let [low, high] = [0, counts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (values[i] >= edges[middle]) low = middle;
      else high = middle - 1;
    }
    counts[low]++;
  }
  return { edges, counts };
}

/** Wilson's 95 % interval of a fraction (Wilson 1927): it stays in 0 to 1 and is right for small counts and fractions near the ends. */
export interface WilsonInterval {
  readonly low: number;
  readonly high: number;
}

export function wilson(successes: number, count: number, z = 1.959963984540054): WilsonInterval {
  if (count === 0) return { low: 0, high: 1 };
  const p = successes / count;
  const centre = (p + z ** 2 / (2 * count)) / (1 + z ** 2 / count);
  const half = (z / (1 + z ** 2 / count)) * Math.sqrt((p * (1 - p)) / count + z ** 2 / (4 * count ** 2));
  return { low: successes === 0 ? 0 : Math.max(0, centre - half), high: successes === count ? 1 : Math.min(1, centre + half) };
}
