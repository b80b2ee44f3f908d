import { type DType, tensor, toDtype } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { countNonFinite } from '../src/run/finite.js';

describe('counting values that are not finite', () => {
  it.each<DType>(['f64', 'f32', 'f16', 'bf16'])('finds NaN and both infinities in %s', (dtype) => {
    const values = tensor('f64', [6], Float64Array.of(1, Number.NaN, -0, Number.POSITIVE_INFINITY, 3e4, Number.NEGATIVE_INFINITY));
    expect(countNonFinite(toDtype(values, dtype))).toBe(3);
  });

  it('knows that E4M3 has a NaN and no infinity', () => {
    expect(countNonFinite(tensor('f8_e4m3', [4], Uint8Array.of(0x7e, 0x7f, 0xff, 0x78)))).toBe(2);
    expect(countNonFinite(tensor('f8_e5m2', [4], Uint8Array.of(0x7b, 0x7c, 0xfd, 0x00)))).toBe(2);
  });
});
