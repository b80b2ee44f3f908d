/** Factors are not below this before they are centred, and this is added to the divisor. */
const LEAST = 1e-4;

/**
 * The factors of one exponent r (Lin et al., arXiv 2306.00978, equation 4): `s = a^r`, or with the size of the weights (duo scaling) `s = a^r / (m^(1−r) + 1e-4)`; at least 1e-4, then divided by
 * `sqrt(max s · min s)`. Channels without activations get 1 and do not count, as does what is not finite.
 *
 * @param activations `mean |x|` of each channel
 * @param weights mean of `|w|` over the largest of its group, of each channel; absent without duo scaling
 * @param rows the row that makes each channel: channels of one row get one factor, by their means
 */
export function scalingFactors(
  activations: Float64Array,
  weights: Float64Array | undefined,
  ratio: number,
  rows: Int32Array = Int32Array.from(activations.keys()),
): Float32Array {
  const a = meansByRow(activations, rows);
  const m = weights && meansByRow(weights, rows);
  const raw = Float64Array.from(rows, (_, channel) => {
    if (!(a[channel] > 0)) return Number.NaN;
    const power = a[channel] ** ratio;
    return Math.max(LEAST, m ? power / (m[channel] ** (1 - ratio) + LEAST) : power);
  });
  const live = raw.filter((value) => Number.isFinite(value));
  if (live.length === 0) return new Float32Array(rows.length).fill(1);
  const centre = Math.sqrt(live.reduce((max, value) => Math.max(max, value)) * live.reduce((min, value) => Math.min(min, value)));
  return Float32Array.from(raw, (value) => {
    const factor = Math.fround(value / centre);
    return factor > 0 && factor < Infinity ? factor : 1;
  });
}

/** For each channel the mean over the channels of its row. */
function meansByRow(values: Float64Array, rows: Int32Array): Float64Array {
  const sums = new Map<number, { sum: number; count: number }>();
  for (const [channel, row] of rows.entries()) {
    const { sum, count } = sums.get(row) ?? { sum: 0, count: 0 };
    sums.set(row, { sum: sum + values[channel], count: count + 1 });
  }
  return Float64Array.from(rows, (row) => {
    const { sum, count } = sums.get(row) as { sum: number; count: number };
    return sum / count;
  });
}
