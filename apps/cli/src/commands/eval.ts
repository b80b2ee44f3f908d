import { evaluateModel } from '@calibrant/pipeline';
import type { Command } from 'commander';
import { addCommonOptions, wholeNumber } from '../program.js';
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
  readonly baseLogits?: string;
  readonly saveBaseLogits?: string;
}

/** `calibrant eval`: how good a model is, and with a base what was lost against full precision. */
export function addEval(program: Command): Command {
  const command = program
    .command('eval')
    .description('measure perplexity and calibration, and with --base the divergence from the full-precision model')
    .argument('<model>', 'a folder, a GGUF file, or a Hugging Face repository')
    .option('--text <file>', 'the text to measure on, UTF-8')
    .option('--base <model>', 'the full-precision model to compare with')
    .option(
      '--protocol <name>',
      'how the text is cut and scored: windowed-512 (default), strided-2048-512, llama-perplexity-512, with any numbers',
    )
    .option('--windows <n>', 'at most this many windows of the text', wholeNumber)
    .option('--window-size <n>', 'tokens per window of the windowed protocol (default 512)', wholeNumber)
    .option('--top <k>', 'how many of the most likely tokens the top-k overlap looks at (default 10)', wholeNumber)
    .option('--save-base-logits <file>', "keep the base's logits (without --base the model's own), to compare other models with")
    .option('--base-logits <file>', 'compare with kept logits instead of running the base');
  return addCommonOptions(addExecutionOptions(command)).action(async (model: string, options: EvalOptions) => {
    const { text, base, protocol, baseLogits, saveBaseLogits } = options;
    const chosen = {
      text,
      base,
      protocol,
      baseLogits,
      saveBaseLogits,
      maxWindows: options.windows,
      windowSize: options.windowSize,
      topCount: options.top,
      execution: executionNames(options),
    };
    const given = Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== undefined));
    const result = await withRun(options, ({ registry, backend, reporter, signal }) =>
      evaluateModel({ model, ...given, registry, backend, onEvent: reporter.onEvent, signal }),
    );
    process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${describeEvaluation(result)}\n`);
  });
}
