import { CalibrantError } from '@calibrant/core';
import type { ModelConfig } from './model-config.js';
import type { RopeScaling } from './rope-scaling.js';

/** The tensor by which llama.cpp divides each rotation frequency. */
export const ROPE_FACTORS = 'rope_freqs.weight';
/** The same for texts within and beyond the original context. */
export const SHORT_FACTORS = 'rope_factors_short.weight';
export const LONG_FACTORS = 'rope_factors_long.weight';
/** Tensors that are part of the config in checkpoints. */
export const FACTOR_TENSORS: readonly string[] = [ROPE_FACTORS, SHORT_FACTORS, LONG_FACTORS];

type Rotation = Pick<ModelConfig, 'ropeDims' | 'ropeTheta'>;

/** The factor tensors of a scaling, f32 `[ropeDims / 2]` each, by name. */
export function factorTensors(config: Rotation, scaling: RopeScaling | undefined): Map<string, Float32Array> {
  if (scaling?.type === 'llama3') return new Map([[ROPE_FACTORS, ropeFactors(config, scaling)]]);
  const { shortFactors, longFactors } = scaling ?? {};
  if (!shortFactors || !longFactors) return new Map();
  if (shortFactors.length !== config.ropeDims / 2)
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `LongRoPE's lists in config.json have ${shortFactors.length} factors; ${config.ropeDims} rotated elements need ${config.ropeDims / 2}.`,
    );
  return new Map([
    [LONG_FACTORS, Float32Array.from(longFactors)],
    [SHORT_FACTORS, Float32Array.from(shortFactors)],
  ]);
}

/**
 * Llama 3's rope scaling as one factor per rotated pair, f32 `[ropeDims / 2]`: 1 for short wavelengths, `factor` for long ones, and in
 * between `1 / ((1 − s) / factor + s)` with `s = (originalContext / wavelength − low) / (high − low)`.
 */
function ropeFactors(
  { ropeDims, ropeTheta }: Rotation,
  { factor = 1, lowFreqFactor: low = 1, highFreqFactor: high = 4, originalContext = 8192 }: RopeScaling,
): Float32Array {
  return Float32Array.from({ length: ropeDims / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * ropeTheta ** ((2 * i) / ropeDims);
    if (wavelength < originalContext / high) return 1;
    if (wavelength > originalContext / low) return factor;
    const smooth = (originalContext / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** Llama 3's scaling, where it gave these factors: `factor` is the largest, the frequency bounds are those of Llama 3 (1 and 4). */
export function llama3ScalingOf(factors: Float32Array, config: Rotation, originalContext: number): RopeScaling | undefined {
  const scaling = { type: 'llama3', factor: Math.max(...factors), originalContext, lowFreqFactor: 1, highFreqFactor: 4 };
  const again = ropeFactors(config, scaling);
  const same = factors.length === again.length && again.every((value, i) => Math.abs(value - factors[i]) <= 1e-4 * value);
  return same ? scaling : undefined;
}
