import { CalibrantError, defineKernel, expectDtype, expectShape, roundHalfEven, tensor } from '@calibrant/core';
import { wasmModule } from './generated/wasm.js';

/** Columns of a panel at most. */
export const MAX_PANEL = 256;

export interface SolveBlockAttributes {
  /** First column of the panel that is solved. */
  readonly start: number;
  /** The first of `levelCount` integer levels, where no `levels` are given. */
  readonly firstLevel: number;
  readonly levelCount: number;
}

export type SolveBlockInput = 'panel' | 'u' | 'groups' | 'scales' | 'offsets' | 'levels';

/**
 * GPTQ's column loop on one block of a panel of weights `[out, p]`, p ≤ 256, on the grid `scale · level(code) − offset`. Columns are in
 * processing order; `u [p, p]` is the panel's part of the triangular factor (see `solveColumns`):
 *
 *     for each i from start:  q = nearest grid value of w_i;  e_i = (w_i − q) / u_ii;  w_j −= e_i · u_ij  for every later j of the panel
 *
 * - `groups [k]` i32: the column of `scales` and `offsets` (f32 `[out, groups]`) of each of the k columns to solve.
 * - `levels [levelCount]` f32, ascending, at most 256: for grids whose levels are not consecutive integers. A weight midway goes up.
 *
 * The code is that nearest to `(w + offset) / scale`, clamped; a scale of 0 has the code nearest to 0. Gives the codes `[out, k]` in processing order and
 * the panel, in which the columns solved hold their e. All arithmetic in f32, each product rounded before it is subtracted.
 */
export const solveBlock = defineKernel<SolveBlockInput, 'codes' | 'solved', SolveBlockAttributes>({
  name: 'gptq.solveBlock',
  inputs: {
    panel: { role: 'rows' },
    u: { role: 'whole' },
    groups: { role: 'whole' },
    scales: { role: 'rows' },
    offsets: { role: 'rows' },
    levels: { role: 'whole', optional: true },
  },
  outputs: { codes: { role: 'rows' }, solved: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ panel, u, groups, scales, offsets, levels }, { start, levelCount }) {
    expectShape('solveBlock', 'panel', panel, [undefined, undefined]);
    expectDtype('solveBlock', 'panel', panel, 'f32');
    const [rows, columns] = panel.shape;
    expectShape('solveBlock', 'u', u, [columns, columns]);
    expectDtype('solveBlock', 'u', u, 'f32');
    expectShape('solveBlock', 'groups', groups, [undefined]);
    expectDtype('solveBlock', 'groups', groups, 'i32');
    expectShape('solveBlock', 'scales', scales, [rows, undefined]);
    expectDtype('solveBlock', 'scales', scales, 'f32');
    expectShape('solveBlock', 'offsets', offsets, scales.shape);
    expectDtype('solveBlock', 'offsets', offsets, 'f32');
    if (levels) {
      expectShape('solveBlock', 'levels', levels, [levelCount]);
      expectDtype('solveBlock', 'levels', levels, 'f32');
    }
    const count = groups.shape[0];
    if (!(columns <= MAX_PANEL && start >= 0 && start + count <= columns && levelCount >= 1 && levelCount <= 256))
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `solveBlock: columns ${start} to ${start + count} must lie in a panel of at most ${MAX_PANEL}, found one of ${columns}, and there may be 1 to 256 levels, found ${levelCount}.`,
      );
    return { codes: { dtype: 'u8', shape: [rows, count] }, solved: panel };
  },
  reference({ panel, u, groups, scales, offsets, levels }, { start, firstLevel, levelCount }) {
    const [rows, p] = panel.shape;
    const count = groups.shape[0];
    const groupCount = scales.shape[1];
    const codes = tensor('u8', [rows, count]);
    const solved = tensor('f32', panel.shape, new Float32Array(panel.data as Float32Array));
    const [uv, sv, ov] = [u.data, scales.data, offsets.data] as Float32Array[];
    const table = levels?.data as Float32Array | undefined;
    const codeOf = table
      ? (x: number) => nearestLevel(table, x)
      : (x: number) => Math.min(levelCount - 1, Math.max(0, roundHalfEven(x) - firstLevel));
    for (let r = 0; r < rows; r++) {
      const row = (solved.data as Float32Array).subarray(r * p, (r + 1) * p);
      for (let k = 0; k < count; k++) {
        const i = start + k;
        const at = r * groupCount + Number(groups.data[k]);
        const code = codeOf(sv[at] === 0 ? 0 : Math.fround(Math.fround(row[i] + ov[at]) / sv[at]));
        const value = Math.fround(Math.fround(sv[at] * (table ? table[code] : code + firstLevel)) - ov[at]);
        const error = Math.fround(Math.fround(row[i] - value) / uv[i * p + i]);
        codes.data[r * count + k] = code;
        for (let j = i + 1; j < p; j++) row[j] -= Math.fround(error * uv[i * p + j]);
        row[i] = error;
      }
    }
    return { codes, solved };
  },
  wasm: {
    module: wasmModule,
    function: 'solveBlock',
    scalars: ({ panel, groups, scales }, { start, firstLevel, levelCount }) => [
      panel!.shape[1],
      groups!.shape[0],
      scales!.shape[1],
      start,
      firstLevel,
      levelCount,
    ],
  },
});

function nearestLevel(levels: Float32Array, x: number): number {
  let code = 0;
  while (code < levels.length - 1 && x >= midpoint(levels[code], levels[code + 1])) code++;
  return code;
}

function midpoint(a: number, b: number): number {
  return Math.fround(Math.fround(a + b) / 2);
}
