import { exp4, expSum, indexOf, load4, maximum } from './softmax';

function high(x: v128): v128 {
  return i8x16.shuffle(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
}

/** e^t − 1 − t for |t| ≤ 1/2 by its series to t^8: relative error below 1e-7, without the cancellation of the direct form. */
function series(t: v128): v128 {
  let y = f64x2.splat(1.0 / 40320);
  y = f64x2.add(f64x2.mul(y, t), f64x2.splat(1.0 / 5040));
  y = f64x2.add(f64x2.mul(y, t), f64x2.splat(1.0 / 720));
  y = f64x2.add(f64x2.mul(y, t), f64x2.splat(1.0 / 120));
  y = f64x2.add(f64x2.mul(y, t), f64x2.splat(1.0 / 24));
  y = f64x2.add(f64x2.mul(y, t), f64x2.splat(1.0 / 6));
  y = f64x2.add(f64x2.mul(y, t), f64x2.splat(0.5));
  return f64x2.mul(f64x2.mul(t, t), y);
}

/** p·(e^t − 1 − t) with e^t = q/p; where t is large as q − p − p·t. */
function terms(p: v128, q: v128, t: v128): v128 {
  const near = f64x2.le(f64x2.abs(t), f64x2.splat(0.5));
  // 0 · ∞ stands for the limit 0 where the base gives no probability.
  const weighted = v128.and(f64x2.mul(p, t), f64x2.gt(p, f64x2.splat(0)));
  return v128.bitselect(f64x2.mul(p, series(t)), f64x2.sub(f64x2.sub(q, p), weighted), near);
}

/**
 * Σ p·ln(p/q) of each row and whether both rows have their (first) maximum in the same column.
 * Since Σp = Σq = 1, it equals Σ p·(e^t − 1 − t) with t = ln q − ln p: no negative terms, and errors of the normalizers enter squared.
 */
export function klDivergence(rows: i32, base: usize, quantized: usize, kl: usize, same: usize, vocabulary: i32): void {
  for (let r = 0; r < rows; r++) {
    const a = base + ((<usize>r * <usize>vocabulary) << 2);
    const b = quantized + ((<usize>r * <usize>vocabulary) << 2);
    const topA = maximum(a, vocabulary);
    const topB = maximum(b, vocabulary);
    const at = indexOf(a, vocabulary, topA);
    store<u8>(same + <usize>r, at >= 0 && at == indexOf(b, vocabulary, topB) ? 1 : 0);
    const sumA = expSum(a, vocabulary, topA);
    const sumB = expSum(b, vocabulary, topB);
    const shift = f64x2.splat(<f64>topB - <f64>topA + Math.log(sumB) - Math.log(sumA));
    const scaleA = f64x2.splat(1 / sumA);
    const scaleB = f64x2.splat(1 / sumB);
    const topsA = f32x4.splat(topA);
    const topsB = f32x4.splat(topB);
    let total = f64x2.splat(0);
    for (let c = 0; c < vocabulary; c += 4) {
      const x = load4(a, c, vocabulary);
      const y = load4(b, c, vocabulary);
      const p = exp4(f32x4.sub(x, topsA));
      const q = exp4(f32x4.sub(y, topsB));
      const t0 = f64x2.sub(f64x2.sub(f64x2.promote_low_f32x4(y), f64x2.promote_low_f32x4(x)), shift);
      const t1 = f64x2.sub(f64x2.sub(f64x2.promote_low_f32x4(high(y)), f64x2.promote_low_f32x4(high(x))), shift);
      total = f64x2.add(total, terms(f64x2.mul(f64x2.promote_low_f32x4(p), scaleA), f64x2.mul(f64x2.promote_low_f32x4(q), scaleB), t0));
      total = f64x2.add(
        total,
        terms(f64x2.mul(f64x2.promote_low_f32x4(high(p)), scaleA), f64x2.mul(f64x2.promote_low_f32x4(high(q)), scaleB), t1),
      );
    }
    store<f32>(kl + ((<usize>r) << 2), <f32>(f64x2.extract_lane(total, 0) + f64x2.extract_lane(total, 1)));
  }
}
