import { nearestInt } from './lanes';

function squaredError(x: usize, w: usize, n: i32, scale: f32, inverse: f32, levels: i32): f32 {
  let sum: f32 = 0;
  for (let i = 0; i < n; i++) {
    const value = load<f32>(x + i * 4);
    const l = min(levels, nearestInt(inverse * value));
    const difference = value - scale * <f32>l;
    sum += load<f32>(w + i * 4) * difference * difference;
  }
  return sum;
}

/** The search for a grid of non-negative values (src/search/positive.ts): writes n codes, returns the scale. */
export function searchPositive(x: usize, w: usize, n: i32, levels: i32, codes: usize): f32 {
  let largest: f32 = 0;
  for (let i = 0; i < n; i++) {
    const value = load<f32>(x + i * 4);
    largest = largest > value ? largest : value;
  }
  if (largest < <f32>1e-15) {
    memory.fill(codes, 0, n);
    return 0;
  }
  let inverse: f32 = <f32>levels / largest;
  // The first error takes its codes unclamped, modulo 256.
  let best: f32 = 0;
  for (let i = 0; i < n; i++) {
    const value = load<f32>(x + i * 4);
    const difference = value - (<f32>1 / inverse) * <f32>(nearestInt(inverse * value) & 255);
    best += load<f32>(w + i * 4) * difference * difference;
  }
  for (let trial = -4; trial <= 4; trial++) {
    if (trial == 0) continue;
    const tried: f32 = (<f32>0.1 * <f32>trial + <f32>levels) / largest;
    const error = squaredError(x, w, n, <f32>1 / tried, tried, levels);
    if (error < best) {
      best = error;
      inverse = tried;
    }
  }
  let sumXl: f32 = 0;
  let sumLl: f32 = 0;
  for (let i = 0; i < n; i++) {
    const value = load<f32>(x + i * 4);
    const weight = load<f32>(w + i * 4);
    const l = min(levels, nearestInt(inverse * value));
    store<u8>(codes + i, l);
    sumXl += weight * value * <f32>l;
    sumLl += weight * <f32>l * <f32>l;
  }
  for (let sweep = 0; sweep < 5; sweep++) {
    let changed = false;
    for (let i = 0; i < n; i++) {
      const value = load<f32>(x + i * 4);
      const weight = load<f32>(w + i * 4);
      const old = <i32>load<u8>(codes + i);
      let slx: f32 = sumXl - weight * value * <f32>old;
      let sl2: f32 = sumLl - weight * <f32>old * <f32>old;
      if (!(slx > 0 && sl2 > 0)) continue;
      const l = min(levels, nearestInt((value * sl2) / slx));
      if (l == old) continue;
      slx += weight * value * <f32>l;
      sl2 += weight * <f32>l * <f32>l;
      if (slx * slx * sumLl > sumXl * sumXl * sl2) {
        store<u8>(codes + i, l);
        sumXl = slx;
        sumLl = sl2;
        changed = true;
      }
    }
    if (!changed) break;
  }
  return sumLl > 0 ? sumXl / sumLl : 0;
}
