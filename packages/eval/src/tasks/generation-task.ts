import { CalibrantError } from '@calibrant/core';
import { type TaskRow, textOf, wrong } from './choice-item.js';

/** How an answer is compared with what the model wrote. */
export type Match = 'exact' | 'contains' | 'regex' | 'number';

const MATCHES: readonly Match[] = ['exact', 'contains', 'regex', 'number'];

/** A prompt and the answers that count as right. */
export interface GenerationItem {
  readonly prompt: string;
  readonly answers: readonly string[];
  readonly match: Match;
}

/**
 * Reads a row `{ "prompt": string, "answers": [string | number, …] or "answer": string | number, "match"?: "exact" | "contains" | "regex" | "number" }`. `exact` if absent.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` that names `where`, the key and what was found
 */
export function readGenerationRow(row: TaskRow, where: string): GenerationItem {
  const prompt = textOf(row['prompt'], where, 'prompt');
  const given = row['answers'] ?? (row['answer'] === undefined ? undefined : [row['answer']]);
  if (
    !Array.isArray(given) ||
    given.length === 0 ||
    given.some((answer) => !/^(string|number|bigint)$/.test(typeof answer) || answer === '')
  )
    throw wrong(where, '"answers" must be a list of at least one text or number');
  const answers = given.map(String);
  const match = (row['match'] ?? 'exact') as Match;
  if (!MATCHES.includes(match)) throw wrong(where, `"match" must be one of ${MATCHES.join(', ')}, found ${JSON.stringify(match)}`);
  if (match === 'regex') for (const answer of answers) pattern(answer, where);
  if (match === 'number')
    for (const answer of answers) if (numberIn(answer) === undefined) throw wrong(where, `the answer "${answer}" holds no number`);
  return { prompt, answers, match };
}

/**
 * Whether a text answers an item. `exact`: the first line equals an answer, both without case, punctuation, articles and extra spaces (as SQuAD's
 * evaluation normalizes, Rajpurkar et al. 2016); `contains`: the whole text holds an answer, both normalized likewise; `regex`: a pattern is found (case-sensitive, `m`); `number`: the last number of
 * the text is an answer's, thousands separators aside.
 */
export function isAnswer(text: string, { answers, match }: GenerationItem): boolean {
  switch (match) {
    case 'exact': {
      const given = normalize(firstLine(text));
      return answers.some((answer) => normalize(answer) === given);
    }
    case 'contains': {
      const given = ` ${normalize(text)} `;
      return answers.some((answer) => given.includes(` ${normalize(answer)} `));
    }
    case 'regex':
      return answers.some((answer) => pattern(answer, 'the task').test(text));
    case 'number': {
      const given = numberIn(text);
      return given !== undefined && answers.some((answer) => Math.abs(numberIn(answer)! - given) <= 1e-9 * Math.max(1, Math.abs(given)));
    }
  }
}

/** Lower case, without punctuation, the articles a, an, the, and extra spaces. */
export function normalize(text: string): string {
  return text
    .toLowerCase()
    .replace(/[\p{P}\p{S}]/gu, '')
    .replace(/\b(a|an|the)\b/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}

function firstLine(text: string): string {
  return (
    text
      .split('\n')
      .map((line) => line.trim())
      .find((line) => line !== '') ?? ''
  );
}

function numberIn(text: string): number | undefined {
  const found = text.replace(/(\d),(?=\d{3}\b)/g, '$1').match(/[-−]?\d+(?:\.\d+)?/g);
  return found ? Number(found[found.length - 1].replace('−', '-')) : undefined;
}

function pattern(source: string, where: string): RegExp {
  try {
    return new RegExp(source, 'mu');
  } catch (cause) {
    throw new CalibrantError('INVALID_ARGUMENT', `${where}: "${source}" is not a regular expression: ${(cause as Error).message}.`, {
      cause,
    });
  }
}
