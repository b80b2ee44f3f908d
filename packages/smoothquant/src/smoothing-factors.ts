/** Factors and statistics are not below this, as in the reference implementation. */
const LEAST = 1e-5;

/**
 * `s[j] = max|X[j]|^α / max|W[:, j]|^(1 − α)` (Xiao et al., arXiv 2211.10438, equation 4), each maximum and the result at least 1e-5. Channels that no token used get 1: they are
 * left as they are. Where several channels come from one row (`rows`), all get the factor of their maxima.
 *
 * @param activationPeaks `max |x|` of each channel
 * @param weightPeaks `max |w|` of each channel's columns, over all linears that read it
 */
export function smoothingFactors(
  activationPeaks: Float32Array,
  weightPeaks: Float32Array,
  alpha: number,
  rows: Int32Array = Int32Array.from(activationPeaks.keys()),
): Float32Array {
  const [ofActivations, ofWeights] = [activationPeaks, weightPeaks].map((peaks) => {
    const byRow = new Map<number, number>();
    for (const [channel, row] of rows.entries()) byRow.set(row, Math.max(byRow.get(row) ?? 0, peaks[channel]));
    return byRow;
  });
  return Float32Array.from(rows, (row) => {
    const [x, w] = [ofActivations.get(row) as number, ofWeights.get(row) as number];
    if (!(x > 0)) return 1;
    const factor = Math.max(x, LEAST) ** alpha / Math.max(w, LEAST) ** (1 - alpha);
    return Number.isFinite(factor) ? Math.max(factor, LEAST) : 1;
  });
}
