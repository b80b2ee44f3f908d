import type { Estimate } from '../data.js';

/**
 * A study of calibration sets: every method calibrated on every set, with several seeds and sizes, on one or more models, measured on one or more texts (the experiment of
 * arXiv 2405.20835).
 */
export interface CalibrationStudy {
  readonly schema: 'calibrant-calibration-study/v1';
  readonly models: readonly string[];
  /** Of each model there is also a twin that computes the same with so many channels so much larger, called `<model> with outliers`. */
  readonly outlierTwin?: { readonly channels: number; readonly factor: number };
  readonly methods: readonly string[];
  /** The recipe of each method, without its calibration set. */
  readonly recipes?: Readonly<Record<string, unknown>>;
  readonly sets: readonly StudySet[];
  readonly texts: readonly string[];
  readonly scheme: string;
  /** Sequences of each calibration set, one entry for each size that was tried. */
  readonly samples: readonly number[];
  /** Tokens per sequence. */
  readonly length: number;
  /** Windows of each text at most; all if absent. */
  readonly windows?: number;
  readonly seeds: readonly number[];
  readonly runs: readonly StudyRun[];
  readonly versions: Readonly<Record<string, string>>;
}

export interface StudySet {
  readonly name: string;
  /** `text`; `self` (the model's own text); or without meaning: `shuffled` words of a text, `random` tokens, `nonsense` characters. */
  readonly kind: 'text' | 'self' | 'shuffled' | 'random' | 'nonsense';
}

/** One quantized model on one text. */
export interface StudyRun {
  readonly model: string;
  readonly method: string;
  /** Absent for methods that need no calibration. */
  readonly set?: string;
  readonly samples?: number;
  readonly seed?: number;
  readonly text: string;
  readonly meanKl: Estimate;
  readonly perplexity: number;
  readonly basePerplexity: number;
  readonly calibrationTokens?: number;
  /** Quantizing and measuring, by the clock, and by all threads together. */
  readonly seconds?: number;
  readonly cpuSeconds?: number;
}
