import { CalibrantError } from '@calibrant/core';

/** A question with answers to choose from: the model's choice is the option whose continuation it finds most likely behind its context. */
export interface ChoiceItem {
  readonly options: readonly ChoiceOption[];
  /** Index of the right option. */
  readonly answer: number;
  /** Of what kind the item is: MMLU's subject. Scores are also given for each group. */
  readonly group?: string;
  /** How every context begins: solved examples stand between it and the question. */
  readonly instruction?: string;
}

export interface ChoiceOption {
  readonly context: string;
  /** What is scored, with the space before it. */
  readonly continuation: string;
}

/** A row of a data set: parsed JSON or a row of a parquet file. */
export type TaskRow = Readonly<Record<string, unknown>>;

/** An item whose options share a context. A space joins them where neither side has one. */
export function choiceItem(context: string, choices: readonly string[], answer: number): ChoiceItem {
  const join = context !== '' && !/\s$/.test(context);
  return {
    options: choices.map((choice) => ({ context, continuation: join && !/^\s/.test(choice) ? ` ${choice}` : choice })),
    answer,
  };
}

/**
 * Reads a row of the user's own schema: `{ "context" | "question": string, "choices": string[], "answer": index }`. A `context` is continued as it is; a
 * `question` is asked as `Question: …\nAnswer:`. The index counts from 0; a letter (`"B"`) is also understood. A `group` may name the kind of the item.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` that names `where` and the key
 */
export function readChoiceRow(row: TaskRow, where: string): ChoiceItem {
  const { context, question } = row;
  if ((typeof context === 'string') === (typeof question === 'string'))
    throw wrong(where, 'it needs either "context" or "question", a string');
  const choices = textsOf(row['choices'], where, 'choices');
  const answer = indexOf(row['answer'], choices.length, where, 'answer');
  const item = choiceItem(typeof context === 'string' ? context : `Question: ${question}\nAnswer:`, choices, answer);
  return row['group'] === undefined ? item : { ...item, group: textOf(row['group'], where, 'group') };
}

/** @throws CalibrantError `INVALID_ARGUMENT` unless the value is a text that is not empty */
export function textOf(value: unknown, where: string, key: string): string {
  if (typeof value !== 'string' || value === '') throw wrong(where, `"${key}" must be a text, found ${shown(value)}`);
  return value;
}

/** @throws CalibrantError `INVALID_ARGUMENT` unless the value is a list of at least two texts */
export function textsOf(value: unknown, where: string, key: string): readonly string[] {
  if (!Array.isArray(value) || value.length < 2 || value.some((text) => typeof text !== 'string' || text === ''))
    throw wrong(where, `"${key}" must be a list of at least two texts, found ${shown(value)}`);
  return value;
}

/**
 * The index of the right answer: a whole number, also as a string or bigint (parquet), counted from `first`, or a letter.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for anything else, and for an index without an option
 */
export function indexOf(value: unknown, count: number, where: string, key: string, first = 0): number {
  const letter = typeof value === 'string' && /^[A-Z]$/.test(value);
  const number = letter ? value.charCodeAt(0) - 65 + first : typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  const index = typeof number === 'bigint' ? Number(number) : number;
  if (typeof index !== 'number' || !Number.isInteger(index))
    throw wrong(where, `"${key}" must be the index of the right choice, found ${shown(value)}`);
  if (index < first || index >= first + count)
    throw wrong(where, `"${key}" is ${shown(value)}, but there are ${count} choices (${first} to ${first + count - 1})`);
  return index - first;
}

export function wrong(where: string, what: string): CalibrantError {
  return new CalibrantError('INVALID_ARGUMENT', `${where}: ${what}.`, { item: where });
}

function shown(value: unknown): string {
  return value === undefined
    ? 'nothing'
    : String(JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? Number(part) : part))).slice(0, 80);
}
