import { CalibrantError } from '@calibrant/core';
import type { ModelConfig, RopeScaling } from './model-config.js';

/** The tensor by which llama.cpp divides each rotation frequency. */
export const ROPE_FACTORS = 'rope_freqs.weight';

/**
 * Llama 3's rope scaling as one factor per rotated pair, f32 `[headDim / 2]`: 1 for short wavelengths, `factor` for long ones, and in
 * between `1 / ((1 − s) / factor + s)` with `s = (originalContext / wavelength − low) / (high − low)`.
 */
export function ropeFactors(
  { headDim, ropeTheta }: Pick<ModelConfig, 'headDim' | 'ropeTheta'>,
  { factor, lowFreqFactor: low = 1, highFreqFactor: high = 4, originalContext = 8192 }: RopeScaling,
): Float32Array {
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * ropeTheta ** ((2 * i) / headDim);
    if (wavelength < originalContext / high) return 1;
    if (wavelength > originalContext / low) return factor;
    const smooth = (originalContext / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/**
 * The scaling that gave these factors: `factor` is the largest, the frequency bounds are those of Llama 3 (1 and 4).
 *
 * @throws CalibrantError `UNSUPPORTED` when they are not Llama 3's rule.
 */
export function ropeScalingOf(
  file: string,
  factors: Float32Array,
  config: Pick<ModelConfig, 'headDim' | 'ropeTheta'>,
  originalContext: number,
): RopeScaling {
  const scaling = { type: 'llama3', factor: Math.max(...factors), originalContext, lowFreqFactor: 1, highFreqFactor: 4 };
  const again = ropeFactors(config, scaling);
  if (factors.length !== again.length || again.some((value, i) => Math.abs(value - factors[i]) > 1e-4 * value))
    throw new CalibrantError(
      'UNSUPPORTED',
      `${file}: the factors in "${ROPE_FACTORS}" are not those of Llama 3's rope scaling, which is the only one that is read.`,
      {
        file,
        tensor: ROPE_FACTORS,
      },
    );
  return scaling;
}
