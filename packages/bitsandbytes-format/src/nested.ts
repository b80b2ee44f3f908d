import { type Tensor, tensor } from '@calibrant/core';

const f = Math.fround;
/** Magnitudes that share a second magnitude. */
export const NESTED_BLOCK = 256;

/** Magnitudes in 8 bits: `absmax ≈ DYNAMIC_MAP[code] · nested + offset`. */
export interface NestedMagnitudes {
  readonly codes: Tensor;
  readonly nested: Tensor;
  readonly offset: number;
}

/**
 * The dynamic 8-bit type of bitsandbytes (Dettmers, arXiv 1511.04561): for each power of ten from 10^-6 to 1 the midpoints of 2^i equal parts of
 * [0.1, 1] with both signs, and 0 and 1. Ascending; f32.
 */
export const DYNAMIC_MAP: Float32Array = dynamicMap();

function dynamicMap(): Float32Array {
  const values = [0, 1];
  for (let i = 0; i < 7; i++) {
    const bounds = linspace(0.1, 1, 2 ** i + 1);
    for (let j = 0; j < 2 ** i; j++) {
      const value = f(f(10 ** (i - 6)) * f(f(bounds[j] + bounds[j + 1]) / 2));
      values.push(value, -value);
    }
  }
  return Float32Array.from(values).sort();
}

/** As PyTorch steps: from both ends towards the middle, in f32 with one rounding per number. */
function linspace(start: number, end: number, steps: number): number[] {
  const step = f((f(end) - f(start)) / (steps - 1));
  return Array.from({ length: steps }, (_, i) => f(i < steps >> 1 ? f(start) + step * i : f(end) - step * (steps - 1 - i)));
}

/** Points of the table by which bitsandbytes finds codes on a CPU: the code of a quotient is that of the nearest of these points of [−1, 1]. */
const POINTS = 65535;
const CODE_OF_POINT = codesOfPoints();

function codesOfPoints(): Uint8Array {
  const codes = new Uint8Array(POINTS + 1);
  let code = 0;
  for (let i = 0; i <= POINTS; i++) {
    const x = -1 + (2 * i) / POINTS;
    while (code < 255 && f(f(DYNAMIC_MAP[code] + DYNAMIC_MAP[code + 1]) / 2) < x) code++;
    codes[i] = code;
  }
  return codes;
}

/**
 * Rounds the magnitudes of a tensor's blocks to 8 bits: their mean (summed in f64) is subtracted, and the rest is stored in blocks of 256 with
 * a magnitude each (`quantize_4bit` with `compress_statistics`).
 */
export function nestMagnitudes(absmax: Float32Array): NestedMagnitudes {
  const offset = f(absmax.reduce((sum, value) => sum + value, 0) / Math.max(1, absmax.length));
  const codes = new Uint8Array(absmax.length);
  const nested = new Float32Array(Math.ceil(absmax.length / NESTED_BLOCK));
  for (let b = 0; b < nested.length; b++) {
    const block = absmax.subarray(b * NESTED_BLOCK, (b + 1) * NESTED_BLOCK).map((value) => value - offset);
    nested[b] = block.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    if (nested[b] === 0) continue;
    const inverse = f(1 / nested[b]);
    block.forEach((value, i) => {
      const x = Math.max(-1, Math.min(1, f(value * inverse)));
      codes[b * NESTED_BLOCK + i] = CODE_OF_POINT[Math.floor(f(f(f(x + 1) * 32767.5) + 0.5))];
    });
  }
  return { codes: tensor('u8', [codes.length], codes), nested: tensor('f32', [nested.length], nested), offset };
}

/** The magnitudes f32 that codes stand for under a map of 256 values. */
export function unnestMagnitudes(codes: Uint8Array, nested: Float32Array, map: Float32Array, offset: number): Float32Array {
  return Float32Array.from(codes, (code, i) => f(map[code] * nested[Math.floor(i / NESTED_BLOCK)]) + offset);
}
