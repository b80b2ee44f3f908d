import { type EvaluateOptions, evaluateModel } from '@calibrant/pipeline';
import { type Command, InvalidArgumentError } from 'commander';
import { addCommonOptions, collect, wholeNumber } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';
import { describeEvaluation } from './eval-tables.js';
import { addExecutionOptions, type ExecutionOptions, executionNames } from './execution-options.js';

interface EvalOptions extends CommonOptions, ExecutionOptions {
  readonly text?: string;
  readonly base?: string;
  readonly protocol?: string;
  readonly windows?: number;
  readonly windowSize?: number;
  readonly top?: number;
  readonly metrics?: readonly string[];
  readonly task?: readonly string[];
  readonly limit?: number;
  readonly maxTokens?: number;
  readonly needle?: readonly number[] | true;
  readonly needleDepths?: readonly number[];
  readonly needleTrials?: number;
  readonly needleText?: string;
  readonly drift?: number | true;
  readonly driftPrompts?: number;
  readonly baseLogits?: string;
  readonly saveBaseLogits?: string;
  readonly seed?: number;
}

/** `calibrant eval`: how good a model is, and with a base what was lost against full precision. */
export function addEval(program: Command): Command {
  const command = program
    .command('eval')
    .description('measure perplexity, calibration and tasks, and with --base what was lost against the full-precision model')
    .argument('<model>', 'a folder, a GGUF file, or a Hugging Face repository')
    .option('--text <file>', 'a text to measure on, UTF-8')
    .option('--base <model>', 'the full-precision model to compare with')
    .option(
      '--metrics <list>',
      'perplexity, divergence, calibration (default: all three), needle, drift, or metrics of plug-ins, with commas',
      list,
    )
    .option(
      '--protocol <name>',
      'how the text is cut and scored: windowed-512 (default), strided-2048-512, llama-perplexity-512, with any numbers',
    )
    .option('--windows <n>', 'at most this many windows of the text', wholeNumber)
    .option('--window-size <n>', 'tokens per window of the windowed protocol (default 512)', wholeNumber)
    .option('--top <k>', 'how many of the most likely tokens the top-k overlap looks at (default 10)', wholeNumber)
    .option('--save-base-logits <file>', "keep the base's logits (without --base the model's own), to compare other models with")
    .option('--base-logits <file>', 'compare with kept logits instead of running the base')
    .option('--task <task>', 'hellaswag, mmlu, arc-easy, …, NAME=FILE, or a file of your own questions; may be repeated', collect)
    .option('--limit <n>', 'at most this many items of each task, drawn by the seed', wholeNumber)
    .option('--max-tokens <n>', 'tokens of a generated answer (default 64)', wholeNumber)
    .option('--needle [lengths]', 'hide facts in texts of these lengths (tokens, with commas) and ask for them', wholeNumbers)
    .option('--needle-depths <list>', 'where they are hidden, 0 to 1 (default 0,0.25,0.5,0.75,1)', fractions)
    .option('--needle-trials <n>', 'facts per length and depth (default 8)', wholeNumber)
    .option('--needle-text <file>', 'the text to hide them in')
    .option('--drift [tokens]', 'with --base and --text: how long greedy texts stay the same (default 64 tokens)', wholeNumber)
    .option('--drift-prompts <n>', 'prompts cut from the text (default 32)', wholeNumber)
    .option('--seed <n>', 'of everything that is drawn (default 0)', seed);
  return addCommonOptions(addExecutionOptions(command, 'from which static grids get their scales')).action(
    async (model: string, options: EvalOptions) => {
      const result = await withRun(options, ({ registry, backend, reporter, signal }) =>
        evaluateModel({ model, ...requestOf(options), registry, backend, onEvent: reporter.onEvent, signal }),
      );
      process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${describeEvaluation(result)}\n`);
    },
  );
}

function requestOf(options: EvalOptions): Partial<EvaluateOptions> {
  const { text, base, metrics, protocol, baseLogits, saveBaseLogits, limit, maxTokens, drift, needle } = options;
  const { needleDepths, needleTrials, needleText, driftPrompts } = options;
  const aboutNeedle = given({
    lengths: needle === true ? undefined : needle,
    depths: needleDepths,
    trials: needleTrials,
    text: needleText,
  });
  const aboutDrift = given({ tokens: drift === true ? undefined : drift, prompts: driftPrompts });
  return given({
    text,
    base,
    metrics,
    protocol,
    baseLogits,
    saveBaseLogits,
    limit,
    maxTokens,
    tasks: options.task,
    maxWindows: options.windows,
    windowSize: options.windowSize,
    topCount: options.top,
    execution: executionNames(options),
    seed: options.seed,
    needle: needle !== undefined || Object.keys(aboutNeedle).length > 0 ? aboutNeedle : undefined,
    drift: drift !== undefined || Object.keys(aboutDrift).length > 0 ? aboutDrift : undefined,
  });
}

/** Without what was not given. */
function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

function list(text: string): string[] {
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

function seed(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('It must be a whole number, 0 or more.');
  return value;
}
