import type { PlannedTensor } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { checkOrientation } from '../src/plan/check-orientation.js';

const planned = (more: Partial<PlannedTensor>): PlannedTensor => ({
  name: 'h.0.attn.c_proj.weight',
  source: 'h.0.attn.c_proj.weight',
  shape: [8, 8],
  scheme: { kind: 'affine', bits: 4, granularity: 'channel', symmetric: true },
  ...more,
});
const stored = [{ name: 'h.0.attn.c_proj.weight', transposed: true }];

describe('layers that the checkpoint stores as [in, out]', () => {
  it('are refused on integer grids in a format that keeps them so', () => {
    expect(() => checkOrientation([planned({})], stored)).toThrow(/c_proj\.weight as \[in, out\].*--format gguf/s);
  });

  it('are quantized where the format turns them, and left alone in floating point', () => {
    expect(() => checkOrientation([planned({ transposed: true })], stored)).not.toThrow();
    expect(() => checkOrientation([planned({ scheme: { kind: 'float', dtype: 'f16' } })], stored)).not.toThrow();
    expect(() => checkOrientation([planned({})], [{ name: 'h.0.attn.c_proj.weight' }])).not.toThrow();
  });
});
