/** A solution on the host, with its error per output row. */
export interface BlockCandidate {
  readonly bytes: Uint8Array;
  readonly errors: Float64Array;
}

/**
 * The best of some solutions row by row: rows of a linear layer do not interact, so each may come from any. Earlier ones win ties; rows whose
 * error is not finite lose. `replaced` counts the rows that are not the first solution's.
 */
export function bestRows(
  candidates: readonly BlockCandidate[],
  rowBytes: number,
): { readonly kept: BlockCandidate; readonly replaced: number } {
  const [first, ...others] = candidates;
  const kept = { bytes: first.bytes.slice(), errors: first.errors.slice() };
  let replaced = 0;
  for (let r = 0; r < kept.errors.length; r++) {
    let best = first;
    for (const other of others) if (!(best.errors[r] <= other.errors[r])) best = other;
    if (best === first) continue;
    replaced++;
    kept.errors[r] = best.errors[r];
    kept.bytes.set(best.bytes.subarray(r * rowBytes, (r + 1) * rowBytes), r * rowBytes);
  }
  return { kept, replaced };
}
