import { createRng } from '@calibrant/core';
import { type CalibrationSet, type CalibrationSize, completeSet } from './calibration-set.js';

/** Sequences of tokens drawn evenly from the vocabulary: no text is needed, and what the model is used for is not represented. A baseline for studies. */
export function calibrationSetFromRandom(vocabSize: number, size: CalibrationSize): CalibrationSet {
  const random = createRng(size.seed);
  const sequences = Array.from({ length: size.samples }, () => Int32Array.from({ length: size.length }, () => random.integer(vocabSize)));
  return completeSet({ sequences, source: 'random', seed: size.seed, available: size.samples * size.length }, size);
}
