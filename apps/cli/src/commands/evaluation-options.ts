import type { EvaluateOptions } from '@calibrant/pipeline';
import { type Command, InvalidArgumentError } from 'commander';
import { collect, seed, wholeNumber } from '../program.js';
import { addExecutionOptions, type ExecutionOptions, executionNames } from './execution-options.js';

/** Options of commands that measure a model: how its text is cut, what else it is asked, and how it runs. */
export interface EvaluationOptions extends ExecutionOptions {
  readonly protocol?: string;
  readonly windows?: number;
  readonly windowSize?: number;
  readonly task?: readonly string[];
  readonly limit?: number;
  readonly shots?: number;
  readonly shotsFrom?: readonly string[];
  readonly maxTokens?: number;
  readonly needle?: readonly number[] | true;
  readonly needleDepths?: readonly number[];
  readonly needleTrials?: number;
  readonly needleText?: string;
  readonly drift?: number | true;
  readonly driftPrompts?: number;
  readonly seed?: number;
}

export function addEvaluationOptions(command: Command): Command {
  const measured = command
    .option(
      '--protocol <name>',
      'how the text is cut and scored: windowed-512 (default), strided-2048-512, llama-perplexity-512, with any numbers',
    )
    .option('--windows <n>', 'at most this many windows of the text', wholeNumber)
    .option('--window-size <n>', 'tokens per window of the windowed protocol (default 512)', wholeNumber)
    .option('--task <task>', 'hellaswag, mmlu, arc-easy, …, NAME=FILE, or a file of your own questions; may be repeated', collect)
    .option('--limit <n>', 'at most this many items of each task, drawn by the seed', wholeNumber)
    .option('--shots <n>', 'solved examples before each item (mmlu: usually 5); of public sets from the split that is usual', wholeNumber)
    .option(
      '--shots-from <file>',
      'where the examples of a file are: FILE, or NAME=FILE for one of several tasks; may be repeated',
      collect,
    )
    .option('--max-tokens <n>', 'tokens of a generated answer (default 64)', wholeNumber)
    .option('--needle [lengths]', 'hide facts in texts of these lengths (tokens, with commas) and ask for them', wholeNumbers)
    .option('--needle-depths <list>', 'where they are hidden, 0 to 1 (default 0,0.25,0.5,0.75,1)', fractions)
    .option('--needle-trials <n>', 'facts per length and depth (default 8)', wholeNumber)
    .option('--needle-text <file>', 'the text to hide them in')
    .option('--drift [tokens]', 'with a base and a text: how long greedy texts stay the same (default 64 tokens)', wholeNumber)
    .option('--drift-prompts <n>', 'prompts cut from the text (default 32)', wholeNumber)
    .option('--seed <n>', 'of everything that is drawn (default 0)', seed);
  return addExecutionOptions(measured, 'from which static grids get their scales');
}

/** What was given of them, as an evaluation takes it. */
export function evaluationRequest(options: EvaluationOptions): Partial<EvaluateOptions> {
  const { protocol, limit, shots, shotsFrom, maxTokens, drift, needle, needleDepths, needleTrials, needleText, driftPrompts } = options;
  const aboutNeedle = given({
    lengths: needle === true ? undefined : needle,
    depths: needleDepths,
    trials: needleTrials,
    text: needleText,
  });
  const aboutDrift = given({ tokens: drift === true ? undefined : drift, prompts: driftPrompts });
  return given({
    protocol,
    limit,
    shots,
    shotsFrom,
    maxTokens,
    tasks: options.task,
    maxWindows: options.windows,
    windowSize: options.windowSize,
    execution: executionNames(options),
    seed: options.seed,
    needle: needle !== undefined || Object.keys(aboutNeedle).length > 0 ? aboutNeedle : undefined,
    drift: drift !== undefined || Object.keys(aboutDrift).length > 0 ? aboutDrift : undefined,
  });
}

/** Without what was not given. */
export function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

/** Names with commas. */
export function list(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function wholeNumbers(text: string): number[] {
  return list(text).map(wholeNumber);
}

function fractions(text: string): number[] {
  return list(text).map((part) => {
    const value = Number(part);
    if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError('Depths are numbers from 0 to 1, with commas.');
    return value;
  });
}
