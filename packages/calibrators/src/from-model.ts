import { createRng, type RunOptions } from '@calibrant/core';
import { type CalibrationSet, type CalibrationSize, completeSet, type TextGenerator } from './calibration-set.js';

/**
 * Makes a calibration set without data, of text that the model itself writes at temperature 1, so that it follows the distribution that the model
 * learned (LLM-QAT, Liu et al. 2023, arXiv 2305.17888, section 2.1). Each sequence begins with the model's begin-of-text token, or with a random
 * token of the vocabulary when it has none. Deterministic by seed.
 */
export async function calibrationSetFromModel(
  generator: TextGenerator,
  size: CalibrationSize,
  run: RunOptions = {},
): Promise<CalibrationSet> {
  const random = createRng(size.seed);
  const prompts = Array.from({ length: size.samples }, () => Int32Array.of(generator.bosTokenId ?? random.integer(generator.vocabSize)));
  const sequences = await generator.generate({ prompts, length: size.length, temperature: 1, seed: size.seed, ...run });
  return completeSet({ sequences, source: 'self', seed: size.seed, available: size.samples * size.length }, size);
}
