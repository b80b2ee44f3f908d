import { CalibrantError, createRng } from '@calibrant/core';
import type { CalibrationSize } from './calibration-set.js';

/**
 * Cuts one long run of tokens into windows of `length`, side by side. When there are more windows than `samples`, a random choice by `seed` is
 * kept, in the order of the text. When there are not, all are, and what is left over at the end becomes a shorter last window.
 *
 * @param name what the tokens came from, for messages
 * @throws CalibrantError `INVALID_ARGUMENT` when there is not even one whole window
 */
export function cutWindows(tokens: Int32Array, { samples, length, seed }: CalibrationSize, name: string): Int32Array[] {
  const whole = Math.floor(tokens.length / length);
  if (whole === 0)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `${name} has ${tokens.length} tokens; calibration needs at least one sequence of ${length}, and ${samples * length} for ${samples} sequences. Use a longer text or a smaller length.`,
      { option: 'calibration.length' },
    );
  const window = (index: number): Int32Array => tokens.slice(index * length, (index + 1) * length);
  const all = Array.from({ length: whole }, (_, index) => index);
  if (whole > samples)
    return createRng(seed)
      .shuffle(all)
      .slice(0, samples)
      .sort((a, b) => a - b)
      .map(window);
  const windows = all.map(window);
  // A single token predicts nothing and is left out.
  if (whole < samples && tokens.length - whole * length >= 2) windows.push(tokens.slice(whole * length));
  return windows;
}
