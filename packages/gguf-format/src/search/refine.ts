import { fromHalf, toHalf } from '../blocks/half.js';
import { nearestCode } from '../blocks/nearest-int.js';

const f = Math.fround;
const ROUNDS = 4;
const STEPS = 8;

/** What a block of the form `x = d · scale · code − dmin · min` can hold. */
export interface RefinedGrid {
  /** Groups of elements with a scale and a minimum of their own, and elements of each. */
  readonly groups: number;
  readonly size: number;
  readonly codes: readonly [least: number, most: number];
  /** Integer scales; one alone where d is all there is. */
  readonly scales: readonly [least: number, most: number];
  /** Integer minima from 0 on; absent where the grid is symmetric. */
  readonly mostMin?: number;
  /** How many other factors are tried on either side, and how far apart they are. */
  readonly starts: number;
  readonly spread: number;
}

/** Factors as halves hold them, and integers of each group. */
export interface RefinedState {
  readonly d: number;
  readonly dmin: number;
  readonly scales: Int16Array;
  readonly mins: Int16Array;
}

/**
 * Refines a block that another search found, on the error that counts: `Σ w (decoded − x)²` with the codes nearest to what the decoder will read. From a few factors
 * d around the given one, two steps take turns: the integers of each group move to the best of their neighbours as long as that helps, and d and dmin are fitted to
 * the codes by least squares and rounded to halves. Returns the best state, with its codes less the lowest, if its error is below `limit`.
 *
 * Errors are f32, four interleaved sums a group; sums of the fit are f64.
 */
export function refine(
  x: Float32Array,
  weights: Float32Array,
  grid: RefinedGrid,
  start: RefinedState,
  limit: number,
): (RefinedState & { readonly codes: Uint8Array }) | undefined {
  let best = limit;
  let found: RefinedState | undefined;
  for (let t = -grid.starts; t <= grid.starts; t++) {
    const d = half(start.d * f(1 + f(f(grid.spread) * t)));
    let state: RefinedState = { d, dmin: start.dmin, scales: start.scales.slice(), mins: start.mins.slice() };
    for (let round = 0; round < ROUNDS; round++) {
      const errors = measure(x, weights, grid, state);
      if (grid.scales[0] < grid.scales[1]) climb(x, weights, grid, state, errors);
      const error = sum(errors);
      if (error < best) {
        best = error;
        found = { ...state, scales: state.scales.slice(), mins: state.mins.slice() };
      }
      const fitted = refit(x, weights, grid, state);
      if ((fitted.d === state.d && fitted.dmin === state.dmin) || !(sum(measure(x, weights, grid, fitted)) < error)) break;
      state = fitted;
    }
  }
  return found && { ...found, codes: codesOf(x, grid, found) };
}

/** `Σ w (y − x)²` of decoded values, summed as the errors of {@link refine}. */
export function decodedError(x: Float32Array, weights: Float32Array, { groups, size }: RefinedGrid, y: Float32Array): number {
  return sum(Float32Array.from({ length: groups }, (_, group) => groupError(x, weights, group * size, size, (i) => y[i])));
}

function sum(errors: Float32Array): number {
  return errors.reduce((total, error) => f(total + error), 0);
}

function groupError(x: Float32Array, weights: Float32Array, start: number, size: number, decoded: (index: number) => number): number {
  const sums = new Float32Array(4);
  for (let i = start; i < start + size; i++) {
    const difference = f(decoded(i) - x[i]);
    sums[i & 3] += f(f(weights[i] * difference) * difference);
  }
  return f(f(sums[0] + sums[1]) + f(sums[2] + sums[3]));
}

/** The code nearest to a value for a scale and a minimum. */
function coder({ codes: [least, most] }: RefinedGrid, scale: number, min: number): (value: number) => number {
  const inverse = scale !== 0 ? f(1 / scale) : 0;
  return (value) => nearestCode(f(f(value + min) * inverse), least, most);
}

function errorOf(
  x: Float32Array,
  weights: Float32Array,
  grid: RefinedGrid,
  { d, dmin }: RefinedState,
  group: number,
  [s, m]: readonly [scale: number, min: number],
): number {
  const [scale, min] = [f(d * s), f(dmin * m)];
  const code = coder(grid, scale, min);
  return groupError(x, weights, group * grid.size, grid.size, (i) => f(f(scale * code(x[i])) - min));
}

function measure(x: Float32Array, weights: Float32Array, grid: RefinedGrid, state: RefinedState): Float32Array {
  return Float32Array.from({ length: grid.groups }, (_, group) =>
    errorOf(x, weights, grid, state, group, [state.scales[group], state.mins[group]]),
  );
}

/** Moves the integers of each group to the best of their neighbours, as long as that helps. */
function climb(x: Float32Array, weights: Float32Array, grid: RefinedGrid, state: RefinedState, errors: Float32Array): void {
  const { scales: bounds, mostMin } = grid;
  const far = mostMin === undefined ? 0 : 1;
  for (let group = 0; group < grid.groups; group++)
    for (let step = 0; step < STEPS; step++) {
      const [scale, min] = [state.scales[group], state.mins[group]];
      let moved = false;
      for (let s = Math.max(bounds[0], scale - 2); s <= Math.min(bounds[1], scale + 2); s++)
        for (let m = Math.max(0, min - far); m <= Math.min(mostMin ?? 0, min + far); m++) {
          if (s === scale && m === min) continue;
          const error = errorOf(x, weights, grid, state, group, [s, m]);
          if (!(error < errors[group])) continue;
          errors[group] = error;
          state.scales[group] = s;
          state.mins[group] = m;
          moved = true;
        }
      if (!moved) break;
    }
}

/** The state with its factors fitted to the codes by weighted least squares. */
function refit(x: Float32Array, weights: Float32Array, grid: RefinedGrid, state: RefinedState): RefinedState {
  let [aa, ab, bb, ax, bx] = [0, 0, 0, 0, 0];
  for (let group = 0; group < grid.groups; group++) {
    const [s, m] = [state.scales[group], state.mins[group]];
    const code = coder(grid, f(state.d * s), f(state.dmin * m));
    for (let i = group * grid.size; i < (group + 1) * grid.size; i++) {
      const a = s * code(x[i]);
      aa += weights[i] * a * a;
      ab += weights[i] * a * m;
      bb += weights[i] * m * m;
      ax += weights[i] * a * x[i];
      bx += weights[i] * m * x[i];
    }
  }
  const determinant = aa * bb - ab * ab;
  if (grid.mostMin !== undefined && determinant > 0)
    return { ...state, d: half((ax * bb - bx * ab) / determinant), dmin: half((ax * ab - bx * aa) / determinant) };
  return aa > 0 ? { ...state, d: half((ax + state.dmin * ab) / aa) } : state;
}

function half(value: number): number {
  return fromHalf(toHalf(f(value)));
}

function codesOf(x: Float32Array, grid: RefinedGrid, { d, dmin, scales, mins }: RefinedState): Uint8Array {
  return Uint8Array.from(x, (value, i) => {
    const group = Math.floor(i / grid.size);
    return coder(grid, f(d * scales[group]), f(dmin * mins[group]))(value) - grid.codes[0];
  });
}
