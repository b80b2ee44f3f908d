import { CalibrantError, createRng, type Rng } from '@calibrant/core';
import type { ChoiceItem } from '../tasks/choice-item.js';
import type { TaskTokenizer } from '../tasks/encode-option.js';
import { FILLER, OWNERS, WORDS } from './filler.js';

export interface NeedleOptions {
  readonly tokenizer: TaskTokenizer;
  /** Tokens of the whole prompt, at most: the columns of the grid. */
  readonly lengths: readonly number[];
  /** Where in the filler the fact stands, 0 (the beginning) to 1 (just before the question): the rows of the grid. */
  readonly depths?: readonly number[];
  /** Different facts and fillers for each length and depth; 8 if absent. */
  readonly trials?: number;
  /** 0 if absent. */
  readonly seed?: number;
  /** Text to hide the facts in; one written for this package if absent. */
  readonly filler?: string;
}

/** A hidden fact and a question about it, whose options are words of which one was named. */
export interface NeedleItem extends ChoiceItem {
  readonly length: number;
  readonly depth: number;
}

export const DEPTHS: readonly number[] = [0, 0.25, 0.5, 0.75, 1];
/** Tokens kept free, since sentences together may have a few more tokens than alone. */
const MARGIN = 8;
const DISTRACTORS = 15;

/**
 * Prompts that hide a fact (`The secret word of the baker is river.`) in filler text and then ask for it. All options are words that the tokenizer makes one token
 * of in that place, where there are enough, so that one pass over the prompt ranks them all.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for lengths without room for the fact and the question, depths outside 0 to 1, or a filler without sentences
 */
export function needleItems({ tokenizer, lengths, depths = DEPTHS, trials = 8, seed = 0, filler = FILLER }: NeedleOptions): NeedleItem[] {
  const wrong = (message: string) => new CalibrantError('INVALID_ARGUMENT', message);
  if (lengths.length === 0 || depths.length === 0 || !(Number.isInteger(trials) && trials >= 1))
    throw wrong('A long-context check needs at least one length, one depth and one trial.');
  const bad = depths.find((depth) => !(depth >= 0 && depth <= 1));
  if (bad !== undefined) throw wrong(`Depths are from 0 to 1, found ${bad}.`);
  const sentences = filler
    .split(/(?<=[.!?])\s+/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '')
    .map((text) => ({ text, tokens: tokenizer.encode(` ${text}`).length }));
  if (sentences.length === 0) throw wrong('The filler text is empty.');
  const words = oneTokenWords(tokenizer);
  const random = createRng(seed);
  const items: NeedleItem[] = [];
  for (const length of lengths)
    for (const depth of depths)
      for (let trial = 0; trial < trials; trial++) items.push(hide({ tokenizer, sentences, words, random }, length, depth));
  return items;
}

interface Material {
  readonly tokenizer: TaskTokenizer;
  readonly sentences: readonly { readonly text: string; readonly tokens: number }[];
  readonly words: readonly string[];
  readonly random: Rng;
}

function hide({ tokenizer, sentences, words, random }: Material, length: number, depth: number): NeedleItem {
  const owner = OWNERS[random.integer(OWNERS.length)];
  const choices = random.shuffle([...words]).slice(0, DISTRACTORS + 1);
  const answer = random.integer(choices.length);
  const fact = `The secret word of ${owner} is ${choices[answer]}.`;
  const question = `\n\nQuestion: What is the secret word of ${owner}?\nAnswer: The secret word of ${owner} is`;
  let room = length - MARGIN - tokenizer.encode(` ${fact}`).length - tokenizer.encode(question).length;
  if (room < 0)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `${length} tokens have no room for the fact and the question. Check at ${length - room} tokens or more.`,
      {
        option: '--needle',
      },
    );
  const around: string[] = [];
  const start = random.integer(sentences.length);
  for (let i = 0; ; i++) {
    const { text, tokens } = sentences[(start + i) % sentences.length];
    if (tokens > room) break;
    around.push(text);
    room -= tokens;
  }
  around.splice(Math.round(depth * around.length), 0, fact);
  const context = around.join(' ') + question;
  return { options: choices.map((word) => ({ context, continuation: ` ${word}` })), answer, length, depth };
}

function oneTokenWords(tokenizer: TaskTokenizer): string[] {
  const before = tokenizer.encode('The secret word is').length;
  const short = WORDS.filter((word) => tokenizer.encode(`The secret word is ${word}`).length === before + 1);
  return short.length > DISTRACTORS ? short : [...WORDS];
}
