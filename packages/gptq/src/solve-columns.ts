import { CalibrantError, defineKernel, expectDtype, expectShape, fitAffine, roundHalfEven, tensor } from '@calibrant/core';
import { wasmModule } from './generated/wasm.js';

export interface SolveAttributes {
  readonly bits: number;
  /** Columns per fitted grid, counted in processing order. */
  readonly groupSize: number;
  /** Columns of `scales`. */
  readonly groupCount: number;
  readonly symmetric: boolean;
  /** Columns per lazy update; does not change the result. At most 128. */
  readonly blockSize: number;
}

export type SolveInput = 'w' | 'u' | 'order' | 'dead' | 'groups' | 'fixedScales' | 'fixedZeroPoints';

/**
 * GPTQ's column loop (Frantar et al., arXiv 2210.17323, algorithm 1) on rows of a weight `w [out, in]`, for the upper triangular
 * `u [in, in]` with `H⁻¹ = uᵀu`:
 *
 *     for each position i:  q = round(w_i);  e = (w_i − q) / u_ii;  w_j −= e · u_ij  for every j > i
 *
 * - `order [in]` i32: the channel at each position; rows and columns of `u` are in this order.
 * - `dead [in]` u8: 1 for channels whose weights count as zero.
 * - `groups [in]` i32: the column of `scales` of each position.
 * - `fixedScales`, `fixedZeroPoints [out, groupCount]`: the grid. Without them a grid is fitted at every position that `groupSize` divides, to
 *   the next `groupSize` columns as compensated so far. (The original code fits to columns that miss the updates of the current block of
 *   128, which makes a difference for groups under 128. Its symmetric grid also clips groups without a negative value; `fitAffine` does not.)
 *
 * Gives codes in storage order, the grid used, and `work [out, in]`: each column in processing order as it was when rounded.
 * All arithmetic in f32, each product rounded before it is subtracted, in ascending i: the lazy updates of the fast variant keep
 * that order, so that its results are the reference's bit for bit, whatever the block size.
 */
export const solveColumns = defineKernel<SolveInput, 'codes' | 'scales' | 'zeroPoints' | 'work', SolveAttributes>({
  name: 'gptq.solveColumns',
  inputs: {
    w: { role: 'rows' },
    u: { role: 'whole' },
    order: { role: 'whole' },
    dead: { role: 'whole' },
    groups: { role: 'whole' },
    fixedScales: { role: 'rows', optional: true },
    fixedZeroPoints: { role: 'rows', optional: true },
  },
  outputs: { codes: { role: 'rows' }, scales: { role: 'rows' }, zeroPoints: { role: 'rows' }, work: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ w, u, order, dead, groups, fixedScales, fixedZeroPoints }, { blockSize, groupCount, groupSize }) {
    expectShape('solveColumns', 'w', w, [undefined, undefined]);
    expectDtype('solveColumns', 'w', w, 'f32');
    const [rows, columns] = w.shape;
    expectShape('solveColumns', 'u', u, [columns, columns]);
    expectDtype('solveColumns', 'u', u, 'f32');
    expectShape('solveColumns', 'order', order, [columns]);
    expectDtype('solveColumns', 'order', order, 'i32');
    expectShape('solveColumns', 'dead', dead, [columns]);
    expectDtype('solveColumns', 'dead', dead, 'u8');
    expectShape('solveColumns', 'groups', groups, [columns]);
    expectDtype('solveColumns', 'groups', groups, 'i32');
    if (fixedScales) {
      expectShape('solveColumns', 'fixedScales', fixedScales, [rows, groupCount]);
      expectShape('solveColumns', 'fixedZeroPoints', fixedZeroPoints, [rows, groupCount]);
    }
    if (!(blockSize >= 1 && blockSize <= 128 && groupSize >= 1 && columns % groupSize === 0))
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `solveColumns: blocks are 1 to 128 columns and groups must divide the ${columns} columns, found ${blockSize} and ${groupSize}.`,
      );
    const grid = [rows, groupCount];
    return {
      codes: { dtype: 'u8', shape: w.shape },
      scales: { dtype: 'f32', shape: grid },
      zeroPoints: { dtype: 'u8', shape: grid },
      work: w,
    };
  },
  reference({ w, u, order, dead, groups, fixedScales, fixedZeroPoints }, { bits, groupSize, groupCount, symmetric }) {
    const [rows, n] = w.shape;
    const scales = tensor('f32', [rows, groupCount], fixedScales && new Float32Array(fixedScales.data as Float32Array));
    const zeroPoints = tensor('u8', [rows, groupCount], fixedZeroPoints && new Uint8Array(fixedZeroPoints.data as Uint8Array));
    const codes = tensor('u8', w.shape);
    const work = tensor('f32', w.shape);
    const uv = u.data as Float32Array;
    const [orderOf, groupOf] = [order.data, groups.data] as Int32Array[];
    const top = 2 ** bits - 1;
    for (let r = 0; r < rows; r++) {
      const row = (work.data as Float32Array).subarray(r * n, (r + 1) * n);
      for (let i = 0; i < n; i++) row[i] = dead.data[orderOf[i]] ? 0 : (w.data[r * n + orderOf[i]] as number);
      for (let i = 0; i < n; i++) {
        const at = r * groupCount + groupOf[i];
        if (!fixedScales && i % groupSize === 0) {
          const group = tensor('f32', [1, groupSize], row.subarray(i, i + groupSize));
          const fitted = fitAffine.reference({ w: group }, { bits, groupSize, symmetric }, { start: 0, end: 1 });
          scales.data[at] = fitted.scales.data[0];
          zeroPoints.data[at] = fitted.zeroPoints.data[0];
        }
        const [scale, zeroPoint] = [scales.data[at], zeroPoints.data[at]] as number[];
        const code = Math.min(top, Math.max(0, roundHalfEven(Math.fround(row[i] / scale)) + zeroPoint));
        codes.data[r * n + orderOf[i]] = code;
        const q = Math.fround(scale * (code - zeroPoint));
        const error = Math.fround(Math.fround(row[i] - q) / uv[i * n + i]);
        for (let j = i + 1; j < n; j++) row[j] -= Math.fround(error * uv[i * n + j]);
      }
    }
    return { codes, scales, zeroPoints, work };
  },
  wasm: {
    module: wasmModule,
    function: 'solveColumns',
    scalars: ({ w }, { bits, groupSize, groupCount, symmetric, blockSize }) => [
      w!.shape[1],
      groupCount,
      groupSize,
      bits,
      symmetric ? 1 : 0,
      blockSize,
    ],
  },
});
