import { CalibrantError, createRng } from '@calibrant/core';
import type { CalibrationSize } from './calibration-set.js';

/**
 * Cuts one long run of tokens into windows of `length`, side by side, in an order by `seed` of which the first `samples` are kept: a set of fewer samples is the
 * beginning of one of more. When there are fewer windows than samples, what is left over at the end becomes a shorter last window.
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
  const starts = createRng(seed).shuffle(Array.from({ length: whole }, (_, index) => index * length));
  const windows = starts.slice(0, samples).map((start) => tokens.slice(start, start + length));
  // A single token predicts nothing and is left out.
  if (whole < samples && tokens.length - whole * length >= 2) windows.push(tokens.slice(whole * length));
  return windows;
}
