import { load4, maximum } from './softmax';

/** Nats below the most likely token where the stored range ends. */
const RANGE: f32 = 32;

/** Codes of `top − x` in steps of `scale`, 0 to 65535, where the step spans the row's range but at most 32 nats. */
export function encodeLogProbabilities(rows: i32, logits: usize, codes: usize, scales: usize, vocabulary: i32): void {
  for (let r = 0; r < rows; r++) {
    const row = logits + ((<usize>r * <usize>vocabulary) << 2);
    const out = codes + ((<usize>r * <usize>vocabulary) << 1);
    const top = maximum(row, vocabulary);
    const span = min<f32>(top - minimum(row, vocabulary), RANGE);
    const scale: f32 = span / 65535;
    store<f32>(scales + ((<usize>r) << 2), scale);
    const inverse = f32x4.splat(scale > 0 ? 1 / scale : 0);
    const tops = f32x4.splat(top);
    let c = 0;
    for (; c + 8 <= vocabulary; c += 8)
      v128.store(
        out + ((<usize>c) << 1),
        i16x8.narrow_i32x4_u(code4(row, c, vocabulary, tops, inverse), code4(row, c + 4, vocabulary, tops, inverse)),
      );
    for (; c < vocabulary; c += 4) {
      const code = code4(row, c, vocabulary, tops, inverse);
      store<u16>(out + ((<usize>c) << 1), <u16>i32x4.extract_lane(code, 0));
      if (c + 1 < vocabulary) store<u16>(out + ((<usize>(c + 1)) << 1), <u16>i32x4.extract_lane(code, 1));
      if (c + 2 < vocabulary) store<u16>(out + ((<usize>(c + 2)) << 1), <u16>i32x4.extract_lane(code, 2));
      if (c + 3 < vocabulary) store<u16>(out + ((<usize>(c + 3)) << 1), <u16>i32x4.extract_lane(code, 3));
    }
  }
}

/** `−scale · code`: logits whose largest is 0. */
export function decodeLogProbabilities(rows: i32, codes: usize, scales: usize, logits: usize, vocabulary: i32): void {
  for (let r = 0; r < rows; r++) {
    const row = codes + ((<usize>r * <usize>vocabulary) << 1);
    const out = logits + ((<usize>r * <usize>vocabulary) << 2);
    const scale = -load<f32>(scales + ((<usize>r) << 2));
    const factor = f32x4.splat(scale);
    let c = 0;
    for (; c + 8 <= vocabulary; c += 8) {
      const code = v128.load(row + ((<usize>c) << 1));
      v128.store(out + ((<usize>c) << 2), f32x4.mul(f32x4.convert_i32x4_u(i32x4.extend_low_i16x8_u(code)), factor));
      v128.store(out + ((<usize>(c + 4)) << 2), f32x4.mul(f32x4.convert_i32x4_u(i32x4.extend_high_i16x8_u(code)), factor));
    }
    for (; c < vocabulary; c++) store<f32>(out + ((<usize>c) << 2), <f32>load<u16>(row + ((<usize>c) << 1)) * scale);
  }
}

function code4(row: usize, at: i32, columns: i32, tops: v128, inverse: v128): v128 {
  const steps = f32x4.nearest(f32x4.mul(f32x4.sub(tops, load4(row, at, columns)), inverse));
  return i32x4.trunc_sat_f32x4_u(f32x4.pmin(f32x4.splat(65535), steps));
}

function minimum(row: usize, columns: i32): f32 {
  let least = load<f32>(row);
  let c = 0;
  if (columns >= 4) {
    let best = v128.load(row);
    for (; c + 4 <= columns; c += 4) best = f32x4.min(best, v128.load(row + ((<usize>c) << 2)));
    least = min<f32>(
      min<f32>(f32x4.extract_lane(best, 0), f32x4.extract_lane(best, 1)),
      min<f32>(f32x4.extract_lane(best, 2), f32x4.extract_lane(best, 3)),
    );
  }
  for (; c < columns; c++) least = min<f32>(least, load<f32>(row + ((<usize>c) << 2)));
  return least;
}
