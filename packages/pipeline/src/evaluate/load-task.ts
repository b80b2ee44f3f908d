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
  readChoiceRow,
  readGenerationRow,
  type TaskSource,
} from '@calibrant/eval';
import { readRows } from './task-rows.js';

export type LoadedTask = { readonly source: TaskSource } & (
  | { readonly kind: 'choice'; readonly metric: ChoiceMetric; readonly items: readonly ChoiceItem[] }
  | { readonly kind: 'generation'; readonly items: readonly GenerationItem[] }
);

/**
 * Loads what a user calls a task: a public data set by its name (read from the Hub) or `NAME=FILE` (from a file or URL in its usual rows), or a file of one's own
 * (`FILE` or any `NAME=FILE`) with rows of choices or of prompts and answers.
 *
 * @param limit at most so many items, drawn by `seed`
 * @throws CalibrantError `NOT_FOUND` with the known names, `INVALID_ARGUMENT` that names file, row and key
 */
export async function loadTask(
  task: string,
  { limit = Infinity, seed, signal }: { readonly limit?: number; readonly seed: number } & Pick<RunOptions, 'signal'>,
): Promise<LoadedTask> {
  const { name, file, known } = find(task);
  const rows = await readRows(file, signal ? { signal } : {});
  if (rows.length === 0)
    throw new CalibrantError('INVALID_ARGUMENT', `${file} has no rows. A task has one JSON object per line.`, { file });
  const chosen = draw(rows, limit, seed);
  const load = <Item>(read: (row: (typeof rows)[number]) => Item) => {
    const items = chosen.map(read);
    const sha256 = createHash('sha256').update(JSON.stringify(items)).digest('hex');
    return { source: { name, source: file, sha256, available: rows.length }, items };
  };
  if (known) return { kind: 'choice', metric: known.metric, ...load(({ row, where }) => known.toItem(row, where)) };
  const [{ row: first, where }] = rows;
  if ('choices' in first) return { kind: 'choice', metric: 'accuracy', ...load(({ row, where: at }) => readChoiceRow(row, at)) };
  if ('prompt' in first) return { kind: 'generation', ...load(({ row, where: at }) => readGenerationRow(row, at)) };
  throw new CalibrantError(
    'INVALID_ARGUMENT',
    `${where}: a row of a task needs "context" or "question" with "choices" and "answer", or "prompt" with "answers"; found ${Object.keys(first).join(', ') || 'no keys'}. ${knownNames()}`,
    { file },
  );
}

function find(task: string): { readonly name: string; readonly file: string; readonly known?: KnownTask } {
  const byName = (name: string) => KNOWN_TASKS.find((known) => known.name === name);
  const [, name, file] = /^([\w.-]+)=(.+)$/.exec(task) ?? [];
  if (name !== undefined && file !== undefined) {
    const known = byName(name);
    return known ? { name, file, known } : { name, file };
  }
  const known = byName(task);
  if (known) return { name: task, file: hubUrl(known), known };
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
  return { name: task.replace(/^.*[\\/]/, '').replace(/\.\w+$/, ''), file: task };
}

function knownNames(): string {
  return `Public data sets are known by the names ${KNOWN_TASKS.map(({ name }) => name).join(', ')}.`;
}

/** Where the Hub keeps a data set as parquet. */
function hubUrl({ hub: { repo, config, split } }: KnownTask): string {
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
