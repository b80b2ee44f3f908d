import { exp4 } from './math';
import { exponentials, maximum, multiply } from './softmax';

/** tanh(x) = 1 - 2 / (exp(2x) + 1), with the sign taken out so that small results keep an absolute accuracy of 1e-7. */
function tanh4(x: v128): v128 {
  const one = f32x4.splat(1);
  const e = exp4(f32x4.mul(f32x4.abs(x), f32x4.splat(-2)));
  const t = f32x4.div(f32x4.sub(one, e), f32x4.add(one, e));
  return v128.or(t, v128.and(x, f32x4.splat(-0.0)));
}

/**
 * Softmax in place of the scores of one block of queries against a range of keys, for `heads` heads stacked as
 * `[heads, queries, keys]` (keys a multiple of 4 is not needed). Row (h, q) is query `firstQuery + q`; it sees the keys in
 * `(query - window, query]`; the rest of its row becomes 0. `slopes` holds one f32 per head, or is 0.
 */
export function attentionSoftmax(
  heads: i32,
  queries: i32,
  keys: i32,
  scores: usize,
  slopes: usize,
  firstQuery: i32,
  firstKey: i32,
  window: i32,
  scale: f32,
  softcap: f32,
): void {
  const stride = (<usize>keys) << 2;
  let row = scores;
  for (let h: i32 = 0; h < heads; h++) {
    const slope: f32 = slopes ? load<f32>(slopes + ((<usize>h) << 2)) : 0;
    for (let q: i32 = 0; q < queries; q++, row += stride) {
      const query = firstQuery + q;
      const from = max(0, (window > 0 ? max(0, query - window + 1) : 0) - firstKey);
      const to = query + 1 - firstKey;
      const seen = row + ((<usize>from) << 2);
      const count = to - from;
      adjust(seen, count, scale, softcap, slope, firstKey + from - query);
      const total = exponentials(seen, seen, count, maximum(seen, count));
      multiply(seen, count, <f32>(1 / total));
      memory.fill(row, 0, (<usize>from) << 2);
      memory.fill(row + ((<usize>to) << 2), 0, (<usize>(keys - to)) << 2);
    }
  }
}

/** score → softcap · tanh(scale · score / softcap) + slope · (key - query); `distance` is key - query of the first. */
function adjust(x: usize, count: i32, scale: f32, softcap: f32, slope: f32, distance: i32): void {
  let i: i32 = 0;
  for (; i + 4 <= count; i += 4) {
    const at = x + ((<usize>i) << 2);
    v128.store(at, adjusted(v128.load(at), scale, softcap, slope, distance + i));
  }
  for (; i < count; i++) {
    const at = x + ((<usize>i) << 2);
    store<f32>(at, f32x4.extract_lane(adjusted(f32x4.splat(load<f32>(at)), scale, softcap, slope, distance + i), 0));
  }
}

function adjusted(score: v128, scale: f32, softcap: f32, slope: f32, distance: i32): v128 {
  let value = f32x4.mul(score, f32x4.splat(scale));
  if (softcap > 0) value = f32x4.mul(f32x4.splat(softcap), tanh4(f32x4.div(value, f32x4.splat(softcap))));
  if (slope != 0) {
    const steps = f32x4.convert_i32x4_s(i32x4.add(i32x4.splat(distance), i32x4(0, 1, 2, 3)));
    value = f32x4.add(value, f32x4.mul(f32x4.splat(slope), steps));
  }
  return value;
}
