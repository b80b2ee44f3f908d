import { evaluateModel } from '@calibrant/pipeline';
import type { Command } from 'commander';
import { addCommonOptions, wholeNumber } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';
import { describeEvaluation } from './eval-tables.js';
import { addEvaluationOptions, type EvaluationOptions, evaluationRequest, given, list } from './evaluation-options.js';

interface EvalOptions extends CommonOptions, EvaluationOptions {
  readonly text?: string;
  readonly base?: string;
  readonly top?: number;
  readonly metrics?: readonly string[];
  readonly baseLogits?: string;
  readonly saveBaseLogits?: string;
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
    .option('--top <k>', 'how many of the most likely tokens the top-k overlap looks at (default 10)', wholeNumber)
    .option('--save-base-logits <file>', "keep the base's logits (without --base the model's own), to compare other models with")
    .option('--base-logits <file>', 'compare with kept logits instead of running the base');
  return addCommonOptions(addEvaluationOptions(command)).action(async (model: string, options: EvalOptions) => {
    const { text, base, metrics, baseLogits, saveBaseLogits } = options;
    const request = {
      ...evaluationRequest(options),
      ...given({ text, base, metrics, baseLogits, saveBaseLogits, topCount: options.top }),
    };
    const result = await withRun(options, ({ registry, backend, reporter, signal }) =>
      evaluateModel({ model, ...request, registry, backend, onEvent: reporter.onEvent, signal }),
    );
    process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${describeEvaluation(result)}\n`);
  });
}
