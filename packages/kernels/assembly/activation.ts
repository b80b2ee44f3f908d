import { exp4 } from './math';

const SILU: i32 = 0;
const GELU: i32 = 1;
const GELU_TANH: i32 = 2;

/** f(x) or f(x)·up of `rows · columns` values. Kinds: 0 silu, 1 gelu (erf), 2 gelu (tanh), 3 relu. */
export function activate(rows: i32, x: usize, up: usize, y: usize, columns: i32, kind: i32): void {
  const bytes = (<usize>rows * <usize>columns) << 2;
  let at: usize = 0;
  for (; at + 16 <= bytes; at += 16) {
    let value = apply(v128.load(x + at), kind);
    if (up) value = f32x4.mul(value, v128.load(up + at));
    v128.store(y + at, value);
  }
  for (; at < bytes; at += 4) {
    const value = f32x4.extract_lane(apply(f32x4.splat(load<f32>(x + at)), kind), 0);
    store<f32>(y + at, up ? value * load<f32>(up + at) : value);
  }
}

function apply(x: v128, kind: i32): v128 {
  if (kind == SILU) return sigmoidTimes(x, x);
  if (kind == GELU) return gelu(x);
  if (kind == GELU_TANH) {
    // x/2 · (1 + tanh(z)) = x · sigmoid(2z), which does not cancel for negative z.
    const cube = f32x4.mul(f32x4.mul(x, x), x);
    const z = f32x4.mul(f32x4.splat(1.5957691216), f32x4.add(x, f32x4.mul(f32x4.splat(0.044715), cube)));
    return sigmoidTimes(z, x);
  }
  return f32x4.max(f32x4.splat(0), x);
}

/** x · sigmoid(z) */
function sigmoidTimes(z: v128, x: v128): v128 {
  return f32x4.div(x, f32x4.add(f32x4.splat(1), exp4(f32x4.neg(z))));
}

/** x/2 · erfc(-x/√2) by a rational form of erfc (Numerical Recipes, erfcc: fractional error below 1.2e-7), in f64. */
function gelu(x: v128): v128 {
  return f32x4(
    geluOne(f32x4.extract_lane(x, 0)),
    geluOne(f32x4.extract_lane(x, 1)),
    geluOne(f32x4.extract_lane(x, 2)),
    geluOne(f32x4.extract_lane(x, 3)),
  );
}

function geluOne(value: f32): f32 {
  const x = <f64>value;
  const z = Math.abs(x) * 0.7071067811865476;
  const t = 1 / (1 + 0.5 * z);
  const p =
    t *
    (1.00002368 +
      t *
        (0.37409196 +
          t *
            (0.09678418 +
              t * (-0.18628806 + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  const complement = t * Math.exp(-z * z - 1.26551223 + p);
  return <f32>(0.5 * x * (x >= 0 ? 2 - complement : complement));
}
