import { CalibrantError, createRng, type Rng, type RunOptions } from '@calibrant/core';
import type { KnownTask } from '@calibrant/eval';
import { type PlacedRow, readRows } from './task-rows.js';

/** `NAME=FILE`, as a task is also given. */
export const NAMED = /^([\w.-]+)=(.+)$/;

/** Solved examples before the items of tasks. */
export interface ExampleOptions {
  /** How many before each item. */
  readonly shots?: number;
  /** Where they come from, for tasks that are files: `FILE`, or `NAME=FILE` for the task of that name. */
  readonly shotsFrom?: readonly string[];
}

export interface Examples {
  readonly count: number;
  /** File or address. */
  readonly source: string;
  /** The examples of a row. `isSame` says which row asks the same and must not be shown. */
  of(row: PlacedRow, isSame: (example: PlacedRow) => boolean): PlacedRow[];
}

interface Asking {
  readonly name: string;
  readonly file: string;
  readonly known?: KnownTask;
  /** Whether the public set is read from the Hub. */
  readonly fromHub: boolean;
  readonly rows: readonly PlacedRow[];
}

/**
 * Opens the examples of a task. Those of a public set are in the split that published figures take; files name theirs by `shotsFrom`, and a file of one's own
 * without it lends its other rows. Where examples must be like their question (MMLU's subjects) the first ones that are like it are taken, else they are drawn anew for
 * each item.
 *
 * @param hubUrl where the Hub keeps a split of a public set
 * @throws CalibrantError `INVALID_ARGUMENT` for a public set from a file without `shotsFrom`, and for too few examples
 */
export async function openExamples(
  { name, file, known, fromHub, rows }: Asking,
  { shots, shotsFrom = [], seed, signal }: ExampleOptions & { readonly shots: number; readonly seed: number } & Pick<RunOptions, 'signal'>,
  hubUrl: (known: KnownTask, split: string) => string,
): Promise<Examples> {
  const given = fileOf(name, shotsFrom);
  if (given === undefined && known && !fromHub)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `${name} is read from ${file}; say where its examples are (the ${known.examples.split} split) by --shots-from ${name}=FILE.`,
      { option: '--shots-from' },
    );
  const source = given ?? (known ? hubUrl(known, known.examples.split) : file);
  const all = source === file ? rows : await readRows(source, signal ? { signal } : {});
  const alike = known?.examples.alike;
  const random = alike === undefined ? createRng(seed) : undefined;
  const pools = new Map<unknown, PlacedRow[]>();
  const poolOf = (key: unknown) => {
    const pool = pools.get(key) ?? all.filter(({ row }) => alike === undefined || row[alike] === key);
    pools.set(key, pool);
    return pool;
  };
  return {
    count: shots,
    source,
    of({ row }, isSame) {
      const key = alike === undefined ? undefined : row[alike];
      const chosen = take(poolOf(key), shots, isSame, random);
      if (chosen.length === shots) return chosen;
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `${source} has ${chosen.length} examples${typeof key === 'string' ? ` with the ${alike} "${key}"` : ''} besides the question itself, fewer than the ${shots} asked for. Ask for fewer with --shots, or give another file with --shots-from.`,
        { option: '--shots' },
      );
    },
  };
}

/** The first rows that are not the question itself, or random ones: then the pool is shuffled as far as it is needed. */
function take(pool: PlacedRow[], count: number, isSame: (row: PlacedRow) => boolean, random?: Rng): PlacedRow[] {
  const chosen: PlacedRow[] = [];
  for (let i = 0; i < pool.length && chosen.length < count; i++) {
    if (random) {
      const j = i + random.integer(pool.length - i);
      [pool[i], pool[j]] = [pool[j], pool[i]];
    }
    if (!isSame(pool[i])) chosen.push(pool[i]);
  }
  return chosen;
}

function fileOf(name: string, shotsFrom: readonly string[]): string | undefined {
  const named = shotsFrom.map((value) => ({ value, parts: NAMED.exec(value) }));
  return named.find(({ parts }) => parts?.[1] === name)?.parts?.[2] ?? named.find(({ parts }) => !parts)?.value;
}

/** @throws CalibrantError `INVALID_ARGUMENT` for examples of no task */
export function checkExamples(tasks: readonly { readonly name: string }[], { shots, shotsFrom = [] }: ExampleOptions): void {
  const wrong = (message: string, option: string) => new CalibrantError('INVALID_ARGUMENT', message, { option });
  if (shots !== undefined && tasks.length === 0)
    throw wrong('Examples (--shots) stand before the questions of a task: give one with --task.', '--shots');
  if (shots === undefined && shotsFrom.length > 0)
    throw wrong('Say with --shots N how many examples of that file stand before each question.', '--shots-from');
  for (const value of shotsFrom) {
    const name = NAMED.exec(value)?.[1];
    if (name !== undefined && !tasks.some((task) => task.name === name))
      throw wrong(`--shots-from ${value}: there is no task "${name}", only ${tasks.map((task) => task.name).join(', ')}.`, '--shots-from');
  }
}
