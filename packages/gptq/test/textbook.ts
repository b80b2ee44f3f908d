import type { AffineTensor, Tensor } from '@calibrant/core';

/** How far a result is from the textbook's at the worst place. */
export interface Deviation {
  /** Distance of a code from the weight that it rounds, in scales, above the 0.5 that the nearest code may have. */
  readonly rounding: number;
  /** Relative difference of a scale. */
  readonly scale: number;
  /** Distance of a zero point from its value before rounding, above 0.5. */
  readonly zeroPoint: number;
}

/**
 * Optimal brain quantization with a common order of columns, straight from the GPTQ paper's equations 2 and 3 and in f64: the inverse
 * Hessian is explicit, each step updates all later weights of a row with row i of it, and then eliminates row and column i from it.
 * Nothing is shared with the implementation under test: no Cholesky factor, no blocks, no f32.
 *
 * Symmetric grids put the largest weight of a group exactly between two codes, so that rounding noise decides it and with it the rest of the row.
 * Therefore this follows the choices under test step by step, and measures how far each is from the nearest one.
 */
export function compareWithTextbook(
  weight: Tensor,
  hessian: Tensor,
  dampPercent: number,
  order: readonly number[],
  groupSize: number,
  { scheme, codes, scales, zeroPoints, groupIndex }: AffineTensor,
): Deviation {
  const [rows, n] = weight.shape;
  const mean = order.reduce((sum, c) => sum + Number(hessian.data[c * n + c]), 0) / n;
  const damped = order.map((a, i) => order.map((b, j) => Number(hessian.data[a * n + b]) + (i === j ? dampPercent * mean : 0)));
  const inverse = invert(damped);
  const w = Array.from({ length: rows }, (_, r) => order.map((c) => Number(weight.data[r * n + c])));
  const top = 2 ** scheme.bits - 1;
  const worst = { rounding: 0, scale: 0, zeroPoint: 0 };
  for (let i = 0; i < n; i++) {
    const channel = order[i];
    for (let r = 0; r < rows; r++) {
      const at = r * scales.shape[1] + (groupIndex ? groupIndex[channel] : Math.floor(channel / groupSize));
      const [scale, zero] = [Number(scales.data[at]), Number(zeroPoints.data[at])];
      if (i % groupSize === 0) {
        const fitted = grid(w[r].slice(i, i + groupSize), scheme);
        worst.scale = Math.max(worst.scale, Math.abs(fitted.scale / scale - 1));
        worst.zeroPoint = Math.max(worst.zeroPoint, Math.abs(fitted.zero - zero) - 0.5);
      }
      const code = codes[r * n + channel];
      const ideal = Math.min(top, Math.max(0, w[r][i] / scale + zero));
      worst.rounding = Math.max(worst.rounding, Math.abs(ideal - code) - 0.5);
      const error = (w[r][i] - scale * (code - zero)) / inverse[i][i];
      for (let j = i + 1; j < n; j++) w[r][j] -= error * inverse[i][j];
    }
    const pivotRow = [...inverse[i]];
    for (let a = 0; a < n; a++) {
      const factor = inverse[a][i] / pivotRow[i];
      for (let b = 0; b < n; b++) inverse[a][b] -= factor * pivotRow[b];
    }
  }
  return worst;
}

/** Scale, and zero point before rounding. */
function grid(values: readonly number[], { bits, symmetric }: AffineTensor['scheme']): { scale: number; zero: number } {
  const levels = 2 ** bits - 1;
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  if (symmetric) return { scale: (2 * Math.max(-low, high)) / levels || 1, zero: 2 ** (bits - 1) };
  const scale = (high - low) / levels || 1;
  return { scale, zero: -low / scale };
}

/** Gauss–Jordan elimination. */
function invert(matrix: readonly (readonly number[])[]): number[][] {
  const n = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let i = 0; i < n; i++) {
    const pivot = rows[i][i];
    rows[i] = rows[i].map((value) => value / pivot);
    for (let r = 0; r < n; r++) {
      const factor = rows[r][i];
      if (r !== i) rows[r] = rows[r].map((value, c) => value - factor * rows[i][c]);
    }
  }
  return rows.map((row) => row.slice(n));
}
