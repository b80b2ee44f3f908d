import type { RunOptions } from '@calibrant/core';

/** How documents become sequences; nothing of a long one is left out without being counted. */
export const PACKING_MODES = ['pack', 'documents', 'truncate'] as const;
export type PackingMode = (typeof PACKING_MODES)[number];

/** Token sequences that a model is observed on while it is quantized, with what they came from. */
export interface CalibrationSet {
  /** In an order of their own: the first n are the set of n samples by the same seed (of the same text and length). */
  readonly sequences: readonly Int32Array[];
  readonly source: 'self' | 'file' | 'folder' | 'hub' | 'random' | 'text' | 'mixture';
  readonly seed: number;
  readonly mode: PackingMode;
  /** Tokens of all sequences. */
  readonly tokens: number;
  /** Tokens of the whole text that the sequences were chosen from; equal to `tokens` when all of it is used. */
  readonly available: number;
  /** SHA-256 of the tokens: little-endian 32-bit numbers, sequence after sequence. Filled in by `calibrationSet`. */
  readonly sha256?: string;
  /** SHA-256 of the text as UTF-8, for sources of text. */
  readonly textSha256?: string;
  /** Sentences for a person: fewer samples than asked for, or than is usual. */
  readonly warnings: readonly string[];
}

export interface CalibrationSize {
  /** Sequences wanted. */
  readonly samples: number;
  /** Tokens per sequence, at least 2. */
  readonly length: number;
  readonly seed: number;
  /**
   * `pack` (if absent): documents are joined and cut side by side. `documents`: each begins a sequence, long ones are cut into several.
   * `truncate`: the beginning of each document.
   */
  readonly mode?: PackingMode | undefined;
}

/** One turn of a conversation, as chat templates take it. */
export interface CalibrationMessage {
  readonly role: string;
  readonly content: string;
}

/** The part of a tokenizer that is needed here. */
export interface CalibrationTokenizer {
  encode(text: string): Int32Array;
  /** Put between documents when known. */
  readonly eosTokenId?: number | undefined;
  /** What stands for text that the vocabulary lacks. */
  readonly unkTokenId?: number | undefined;
  /** Needed for conversations. */
  applyChatTemplate?(messages: readonly CalibrationMessage[]): string;
}

/** A model that can write text. */
export interface TextGenerator {
  readonly vocabSize: number;
  /** With what a document begins when known. */
  readonly bosTokenId?: number | undefined;
  generate(
    options: {
      readonly prompts: readonly Int32Array[];
      /** Tokens per sequence in the end. */
      readonly length: number;
      readonly temperature: number;
      readonly seed: number;
    } & RunOptions,
  ): Promise<Int32Array[]>;
}

/** The usual size of calibration sets in the literature (GPTQ and AWQ use 128 sequences). */
const USUAL_SAMPLES = 128;

/** A set before it is completed. */
export type RawSet = Omit<CalibrationSet, 'tokens' | 'warnings' | 'mode'> & { readonly warnings?: readonly string[] };

/** The warning of few sequences; undefined for as many as are usual. */
export function fewSequences({ sequences, tokens }: Pick<CalibrationSet, 'sequences' | 'tokens'>): string | undefined {
  const found = sequences.length;
  if (found >= USUAL_SAMPLES) return undefined;
  return `Calibrating on ${found} ${found === 1 ? 'sequence' : 'sequences'} (${tokens} tokens); ${USUAL_SAMPLES} or more are usual, with fewer the statistics are noisy.`;
}

/** Completes a set: counts tokens and warns when there are few sequences. */
export function completeSet(set: RawSet, { samples, length, mode = 'pack' }: CalibrationSize): CalibrationSet {
  const found = set.sequences.length;
  const tokens = set.sequences.reduce((sum, { length: size }) => sum + size, 0);
  const warnings: string[] = [];
  if (found < samples)
    warnings.push(
      `The text gives ${found} calibration sequences (${tokens} tokens) of the ${samples} × ${length} asked for. All of it is used.`,
    );
  const few = fewSequences({ sequences: set.sequences, tokens });
  if (few !== undefined) warnings.push(few);
  return { ...set, mode, tokens, warnings: [...warnings, ...(set.warnings ?? [])] };
}
