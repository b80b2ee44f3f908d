/** Count, mean and Σ (x − mean)², ³, ⁴ of some values, in f64. */
export interface Moments {
  readonly count: number;
  readonly mean: number;
  readonly m2: number;
  readonly m3: number;
  readonly m4: number;
}

export const NO_MOMENTS: Moments = { count: 0, mean: 0, m2: 0, m3: 0, m4: 0 };

/** Moments of two sets of values together, without cancellation (Pébay, SAND2008-6212, equations 2.1 and 2.2 for p = 2, 3, 4). */
export function mergeMoments(a: Moments, b: Moments): Moments {
  if (a.count === 0) return b;
  if (b.count === 0) return a;
  const [p, q] = [a.count, b.count];
  const n = p + q;
  const d = b.mean - a.mean;
  return {
    count: n,
    mean: a.mean + (d * q) / n,
    m2: a.m2 + b.m2 + (d * d * p * q) / n,
    m3: a.m3 + b.m3 + (d ** 3 * p * q * (p - q)) / n ** 2 + (3 * d * (p * b.m2 - q * a.m2)) / n,
    m4:
      a.m4 +
      b.m4 +
      (d ** 4 * p * q * (p * p - p * q + q * q)) / n ** 3 +
      (6 * d * d * (p * p * b.m2 + q * q * a.m2)) / n ** 2 +
      (4 * d * (p * b.m3 - q * a.m3)) / n,
  };
}

/** Moments of all rows that `rowStatistics` describes, rows in order. */
export function momentsOfRows(moments: Float64Array, columns: number): Moments {
  let all = NO_MOMENTS;
  for (let at = 0; at < moments.length; at += 4) all = mergeMoments(all, rowMoments(moments, at, columns));
  return all;
}

export function rowMoments(moments: Float64Array, at: number, count: number): Moments {
  return { count, mean: moments[at], m2: moments[at + 1], m3: moments[at + 2], m4: moments[at + 3] };
}

/** Standard deviation, of the values themselves (divided by n). */
export function deviation({ count, m2 }: Moments): number {
  return count > 0 ? Math.sqrt(m2 / count) : 0;
}

/** Excess kurtosis `n Σd⁴ / (Σd²)² − 3`: 0 for a normal distribution, −2 at least; 0 where all values are equal. */
export function excessKurtosis({ count, m2, m4 }: Moments): number {
  return m2 > 0 ? (count * m4) / (m2 * m2) - 3 : 0;
}
