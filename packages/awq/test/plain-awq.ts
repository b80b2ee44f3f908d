import type { ScalingSite, Tensor } from '@calibrant/core';

interface Grid {
  readonly bits: number;
  readonly groupSize: number;
  readonly symmetric: boolean;
}

/** Round to nearest on min-max grids, in plain loops and f32 steps where a grid is made of f32. */
export function plainRound(values: Float32Array, { bits, groupSize, symmetric }: Grid): Float32Array {
  const out = new Float32Array(values.length);
  const levels = 2 ** bits - 1;
  for (let start = 0; start < values.length; start += groupSize) {
    const group = values.subarray(start, start + groupSize);
    let [low, high] = [Math.min(0, ...group), Math.max(0, ...group)];
    if (symmetric) [low, high] = [-Math.max(-low, high), Math.max(-low, high)];
    const scale = Math.fround(Math.fround(high - low) / levels) || 1;
    const zero = symmetric ? 2 ** (bits - 1) : Math.min(levels, even(Math.fround(-low / scale)));
    for (const [i, value] of group.entries()) {
      const code = Math.min(levels, Math.max(0, even(Math.fround(value / scale)) + zero));
      out[start + i] = scale * (code - zero);
    }
  }
  return out;
}

function even(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The clip search as the paper's code does it: every range of every group, errors summed over tokens. */
export function plainClip(w: Tensor, x: Tensor, grid: Grid & { readonly steps: number }) {
  const [rows, n] = w.shape;
  const { groupSize, steps } = grid;
  const clipped = Float32Array.from(w.data as Float32Array);
  const errors = Array.from({ length: rows }, () => ({ plain: 0, best: 0 }));
  for (let r = 0; r < rows; r++)
    for (let start = 0; start < n; start += groupSize) {
      const group = (w.data as Float32Array).slice(r * n + start, r * n + start + groupSize);
      const largest = Math.max(...group.map(Math.abs));
      let best = { error: Infinity, values: group };
      for (let step = 0; step < steps; step++) {
        const bound = Math.fround(largest * Math.fround(1 - step / (2 * steps)));
        const values = group.map((value) => Math.max(-bound, Math.min(bound, value)));
        const rounded = plainRound(values, grid);
        let error = 0;
        for (let t = 0; t < x.shape[0]; t++) {
          let difference = 0;
          for (let c = 0; c < groupSize; c++) difference += (x.data[t * n + start + c] as number) * (rounded[c] - group[c]);
          error += difference ** 2;
        }
        if (step === 0) errors[r].plain += error;
        if (error < best.error) best = { error, values };
      }
      errors[r].best += best.error;
      clipped.set(best.values, r * n + start);
    }
  return { clipped, errors };
}

/** The scale search of one layer as the paper describes it: the losses of every ratio, with the factors. */
export function plainSearch(w: Tensor, x: Tensor, grid: Grid, ratios: number, duo: boolean, rows: ScalingSite['predecessor']['rows']) {
  const [count, n] = w.shape;
  const tokens = x.shape[0];
  const mean = Array.from({ length: n }, (_, c) => {
    let sum = 0;
    for (let t = 0; t < tokens; t++) sum += Math.abs(x.data[t * n + c] as number);
    return sum / tokens;
  });
  const relative = Array.from({ length: n }, (_, c) => {
    let sum = 0;
    for (let r = 0; r < count; r++) {
      const first = c - (c % grid.groupSize);
      const group = (w.data as Float32Array).subarray(r * n + first, r * n + first + grid.groupSize);
      sum += Math.abs(w.data[r * n + c] as number) / (Math.max(...group.map(Math.abs)) + 1e-6);
    }
    return sum / count;
  });
  const lossOf = (s: readonly number[]) => {
    let loss = 0;
    for (let r = 0; r < count; r++) {
      const row = (w.data as Float32Array).subarray(r * n, (r + 1) * n);
      const rounded = plainRound(
        Float32Array.from(row, (value, c) => value * s[c]),
        grid,
      ).map((value, c) => value / s[c]);
      for (let t = 0; t < tokens; t++) {
        let difference = 0;
        for (let c = 0; c < n; c++) difference += (x.data[t * n + c] as number) * (rounded[c] - row[c]);
        loss += difference ** 2;
      }
    }
    return loss / (count * tokens);
  };
  const trials = [{ ratio: 'none' as number | 'none', loss: lossOf(new Array(n).fill(1)), factors: new Array(n).fill(1) as number[] }];
  for (let i = 0; i < ratios; i++) {
    const ratio = i / ratios;
    const raw = mean.map((a, c) => Math.max(1e-4, duo ? a ** ratio / (relative[c] ** (1 - ratio) + 1e-4) : a ** ratio));
    const centre = Math.sqrt(Math.max(...raw) * Math.min(...raw));
    const factors = Array.from(rows, (row) => raw[row] / centre);
    trials.push({ ratio, loss: lossOf(factors), factors });
  }
  return trials;
}
