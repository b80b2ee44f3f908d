import type { Tensor, TypedArray } from '@calibrant/core';

/** A solution on the host, with its error per output row. */
export interface SolvedRows {
  readonly codes: Tensor;
  readonly scales: Tensor;
  readonly zeroPoints: Tensor;
  readonly errors: Float64Array;
  readonly groupIndex?: Int32Array | undefined;
}

/**
 * The better of two solutions row by row: rows of a linear layer do not interact, so each may come from either. A solution whose
 * groups are scattered has another shape of groups and is taken or left as a whole. `first` wins ties; rows whose error is not
 * finite lose.
 */
export function keepBetterRows(first: SolvedRows, second: SolvedRows): { readonly kept: SolvedRows; readonly rowsKeptRtn: number } {
  const rows = first.errors.length;
  if (first.groupIndex) {
    const total = ({ errors }: SolvedRows) => errors.reduce((sum, value) => sum + value, 0);
    return total(first) <= total(second) ? { kept: first, rowsKeptRtn: 0 } : { kept: second, rowsKeptRtn: rows };
  }
  let rowsKeptRtn = 0;
  for (let r = 0; r < rows; r++) {
    if (first.errors[r] <= second.errors[r]) continue;
    rowsKeptRtn++;
    first.errors[r] = second.errors[r];
    copyRow(first.codes, second.codes, r);
    copyRow(first.scales, second.scales, r);
    copyRow(first.zeroPoints, second.zeroPoints, r);
  }
  return { kept: first, rowsKeptRtn };
}

function copyRow(to: Tensor, from: Tensor, row: number): void {
  const size = to.shape[1];
  (to.data as TypedArray & Float32Array).set(from.data.subarray(row * size, (row + 1) * size) as Float32Array, row * size);
}
