import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { isHttpUrl } from '@calibrant/checkpoint';
import { CalibrantError, createRng, nearest, type RunOptions } from '@calibrant/core';
import {
  type ChoiceItem,
  type ChoiceMetric,
  type GenerationItem,
  KNOWN_TASKS,
  type KnownTask,
  promptWithExamples,
  readChoiceRow,
  readGenerationRow,
  type TaskSource,
  withExamples,
} from '@calibrant/eval';
import { type ExampleOptions, NAMED, openExamples } from './task-examples.js';
import { type PlacedRow, readRows } from './task-rows.js';

export type LoadedTask = { readonly source: TaskSource } & (
  | { readonly kind: 'choice'; readonly metric: ChoiceMetric; readonly items: readonly ChoiceItem[] }
  | { readonly kind: 'generation'; readonly items: readonly GenerationItem[] }
);

/**
 * Loads what a user calls a task: a public data set by its name (read from the Hub) or `NAME=FILE` (from a file or URL in its usual rows), or a file of one's own
 * (`FILE` or any `NAME=FILE`) with rows of choices or of prompts and answers.
 *
 * @param limit at most so many items, drawn by `seed`
 * @param shots solved examples before each item
 * @throws CalibrantError `NOT_FOUND` with the known names, `INVALID_ARGUMENT` that names file, row and key
 */
export async function loadTask(
  task: string,
  options: { readonly limit?: number; readonly seed: number } & ExampleOptions & Pick<RunOptions, 'signal'>,
): Promise<LoadedTask> {
  const { limit = Infinity, shots, seed, signal } = options;
  const found = findTask(task);
  const { name, file, known } = found;
  const rows = await readRows(file, signal ? { signal } : {}).catch((cause: unknown) => {
    if (!found.fromHub || signal?.aborted || !CalibrantError.isInstance(cause)) throw cause;
    throw new CalibrantError(cause.code, `${cause.message} A copy that you have is read with --task ${name}=FILE.`, {
      option: '--task',
      cause,
    });
  });
  if (rows.length === 0)
    throw new CalibrantError('INVALID_ARGUMENT', `${file} has no rows. A task has one JSON object per line.`, { file });
  const chosen = draw(rows, limit, seed);
  const examples = shots === undefined ? undefined : await openExamples({ ...found, rows }, { ...options, shots }, hubUrl);
  const load = <Item>(read: Read<Item>, solve: (item: Item, examples: Item[], where: string) => Item) => {
    const items = chosen.map((placed) => {
      const item = read(placed.row, placed.where);
      if (!examples) return item;
      const asks = JSON.stringify(item);
      const isSame = ({ row, where }: PlacedRow) => JSON.stringify(read(row, where)) === asks;
      const solved = examples.of(placed, isSame).map(({ row, where }) => read(row, where));
      return solve(item, solved, placed.where);
    });
    const sha256 = createHash('sha256').update(JSON.stringify(items)).digest('hex');
    const shown = examples ? { examples: { count: examples.count, source: examples.source } } : {};
    return { source: { name, source: file, sha256, available: rows.length, ...shown }, items };
  };
  if (known) return { kind: 'choice', metric: known.metric, ...load(known.toItem, withExamples) };
  const [{ row: first, where }] = rows;
  if ('choices' in first) return { kind: 'choice', metric: 'accuracy', ...load(readChoiceRow, withExamples) };
  if ('prompt' in first) return { kind: 'generation', ...load(readGenerationRow, promptWithExamples) };
  throw new CalibrantError(
    'INVALID_ARGUMENT',
    `${where}: a row of a task needs "context" or "question" with "choices" and "answer", or "prompt" with "answers"; found ${Object.keys(first).join(', ') || 'no keys'}. ${knownNames()}`,
    { file },
  );
}

type Read<Item> = (row: PlacedRow['row'], where: string) => Item;

interface FoundTask {
  readonly name: string;
  readonly file: string;
  readonly known?: KnownTask;
  readonly fromHub: boolean;
}

/** What a user's word for a task means. @throws CalibrantError `NOT_FOUND` */
export function findTask(task: string): FoundTask {
  const byName = (name: string) => KNOWN_TASKS.find((known) => known.name === name);
  const [, name, file] = NAMED.exec(task) ?? [];
  if (name !== undefined && file !== undefined) {
    const known = byName(name);
    return { name, file, fromHub: false, ...(known ? { known } : {}) };
  }
  const known = byName(task);
  if (known) return { name: task, file: hubUrl(known, known.hub.split), known, fromHub: true };
  if (!isHttpUrl(task) && !existsSync(task)) {
    const close = nearest(
      task,
      KNOWN_TASKS.map((each) => each.name),
    );
    throw new CalibrantError(
      'NOT_FOUND',
      `There is no file and no known task "${task}".${close ? ` Did you mean "${close}"?` : ''} ${knownNames()} Or give NAME=FILE, or a file with your own rows.`,
      { option: '--task' },
    );
  }
  return { name: task.replace(/^.*[\\/]/, '').replace(/\.\w+$/, ''), file: task, fromHub: false };
}

function knownNames(): string {
  return `Public data sets are known by the names ${KNOWN_TASKS.map(({ name }) => name).join(', ')}.`;
}

/** Where the Hub keeps a data set as parquet. */
function hubUrl({ hub: { repo, config } }: KnownTask, split: string): string {
  const hub = (process.env['HF_ENDPOINT'] || 'https://huggingface.co').replace(/\/+$/, '');
  return `${hub}/datasets/${repo}/resolve/refs%2Fconvert%2Fparquet/${config}/${split}/0000.parquet`;
}

/** Some of the rows, in their order. */
function draw<Row>(rows: readonly Row[], limit: number, seed: number): readonly Row[] {
  if (rows.length <= limit) return rows;
  const indices = createRng(seed).shuffle(rows.map((_, i) => i));
  return indices
    .slice(0, limit)
    .sort((a, b) => a - b)
    .map((i) => rows[i]);
}
