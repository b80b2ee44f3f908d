/** One row of values per window, kept in the order of the windows whatever the order of arrival. */
export interface WindowValues {
  set(window: number, values: Float32Array): void;
  /** All values, windows in order. */
  all(): Float32Array;
  readonly windows: number;
}

export function windowValues(): WindowValues {
  const rows: Float32Array[] = [];
  return {
    set(window, values) {
      rows[window] = values;
    },
    all() {
      const present = rows.filter(() => true);
      const joined = new Float32Array(present.reduce((sum, row) => sum + row.length, 0));
      let at = 0;
      for (const row of present) {
        joined.set(row, at);
        at += row.length;
      }
      return joined;
    },
    get windows() {
      return rows.filter(() => true).length;
    },
  };
}

/** Mean and its standard error (sample standard deviation / √n, values taken as independent), both in f64. */
export function meanAndError(values: Float32Array): { readonly mean: number; readonly standardError: number } {
  const n = values.length;
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / n;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return { mean, standardError: n > 1 ? Math.sqrt(squares / (n - 1) / n) : 0 };
}

/** The value below which the fraction `at` of ascending values lies, interpolated linearly between neighbours. */
export function quantile(sorted: Float32Array, at: number): number {
  const position = at * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
}
