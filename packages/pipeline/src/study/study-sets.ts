import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CalibrantError, createRng, type RecipeInput } from '@calibrant/core';
import type { StudySet } from '@calibrant/report';

/** A calibration set of a study, ready to be named in a recipe. */
export interface PreparedSet extends StudySet {
  readonly calibration: Pick<NonNullable<RecipeInput['calibration']>, 'source' | 'path'>;
}

/** Characters of a text without meaning: enough for 512 sequences of 2048 tokens even where each character is a token. */
const NONSENSE_CHARACTERS = 1_200_000;

/**
 * Makes what the sets of a study are calibrated on: `self`, a text file or folder as it is, `shuffled:FILE` (its words in random order: the right words, no sense),
 * `random` (tokens drawn evenly from the vocabulary), and `nonsense` (random printable characters). Texts that are made go into `scratch`.
 *
 * @throws CalibrantError `NOT_FOUND` for files that are not there, `INVALID_ARGUMENT` for two sets of one name.
 */
export async function prepareSets(names: readonly string[], scratch: string, seed: number): Promise<PreparedSet[]> {
  const sets: PreparedSet[] = [];
  for (const name of names) {
    const set = await prepareSet(name, path.join(scratch, `set-${sets.length}.txt`), seed);
    if (sets.some((other) => other.name === set.name))
      throw new CalibrantError('INVALID_ARGUMENT', `Two calibration sets are called "${set.name}". Rename one of the files.`, {
        option: '--sets',
      });
    sets.push(set);
  }
  return sets;
}

async function prepareSet(name: string, made: string, seed: number): Promise<PreparedSet> {
  if (name === 'self' || name === 'random') return { name, kind: name, calibration: { source: name } };
  if (name === 'nonsense') {
    await writeFile(made, nonsense(seed));
    return { name, kind: 'nonsense', calibration: { source: 'file', path: made } };
  }
  if (name.startsWith('shuffled:')) {
    const file = name.slice('shuffled:'.length);
    await expectThere(file);
    await writeFile(
      made,
      createRng(seed)
        .shuffle((await readFile(file, 'utf8')).split(/\s+/).filter(Boolean))
        .join(' '),
    );
    return { name: `shuffled ${label(file)}`, kind: 'shuffled', calibration: { source: 'file', path: made } };
  }
  const folder = (await expectThere(name)).isDirectory();
  return { name: label(name), kind: 'text', calibration: { source: folder ? 'folder' : 'file', path: name } };
}

function label(file: string): string {
  return path.basename(file).replace(/\.(txt|md|jsonl)$/, '');
}

async function expectThere(file: string) {
  return stat(file).catch(() => {
    throw new CalibrantError(
      'NOT_FOUND',
      `There is no calibration set "${file}". Give a text file, a folder of texts, self, random, nonsense, or shuffled:FILE.`,
      { file, option: '--sets' },
    );
  });
}

/** "Words" of random length of random printable ASCII characters. */
function nonsense(seed: number): string {
  const random = createRng(seed);
  let text = '';
  while (text.length < NONSENSE_CHARACTERS) {
    const word = Array.from({ length: 2 + random.integer(9) }, () => String.fromCharCode(33 + random.integer(94)));
    text += `${word.join('')} `;
  }
  return text;
}
