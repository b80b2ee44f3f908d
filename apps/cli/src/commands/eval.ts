import { type EvaluationResult, evaluateModel } from '@calibrant/pipeline';
import type { Command } from 'commander';
import { formatCount, formatDuration } from '../output/format.js';
import { renderTable } from '../output/table.js';
import { addCommonOptions, wholeNumber } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';

interface EvalOptions extends CommonOptions {
  readonly text: string;
  readonly base?: string;
  readonly windows?: number;
  readonly windowSize?: number;
}

/** `calibrant eval`: perplexity on a text, and with `--base` what was lost against the full-precision model. */
export function addEval(program: Command): Command {
  const command = program
    .command('eval')
    .description('measure perplexity, and with --base the KL divergence from the full-precision model')
    .argument('<model>', 'a folder, a GGUF file, or a Hugging Face repository')
    .requiredOption('--text <file>', 'the text to measure on, UTF-8')
    .option('--base <model>', 'the full-precision model to compare with')
    .option('--windows <n>', 'at most this many windows of the text', wholeNumber)
    .option('--window-size <n>', 'tokens per window (default 512)', wholeNumber);
  return addCommonOptions(command).action(async (model: string, options: EvalOptions) => {
    const result = await withRun(options, ({ registry, backend, reporter, signal }) =>
      evaluateModel({
        model,
        text: options.text,
        ...(options.base === undefined ? {} : { base: options.base }),
        ...(options.windows === undefined ? {} : { maxWindows: options.windows }),
        ...(options.windowSize === undefined ? {} : { windowSize: options.windowSize }),
        registry,
        backend,
        onEvent: reporter.onEvent,
        signal,
      }),
    );
    process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${describe(result)}\n`);
  });
}

function describe({ perplexity, comparison, seconds }: EvaluationResult): string {
  const rows = [
    ['perplexity', `${perplexity.perplexity.toFixed(4)} ± ${perplexity.standardError.toFixed(4)}`],
    ['tokens scored', formatCount(perplexity.scoredTokens)],
  ];
  if (comparison)
    rows.push(
      ['perplexity of the base', comparison.basePerplexity.toFixed(4)],
      ['perplexity ratio', (perplexity.perplexity / comparison.basePerplexity).toFixed(4)],
      ['mean KL divergence (nats)', `${comparison.meanKl.toFixed(6)} ± ${comparison.meanKlStandardError.toFixed(6)}`],
      [
        'KL divergence, median / 99 % / max',
        [comparison.medianKl, comparison.kl99, comparison.maxKl].map((value) => value.toFixed(5)).join(' / '),
      ],
      ['same top token', `${(100 * comparison.sameTop).toFixed(2)} %`],
    );
  return `${renderTable(['measure', 'value'], rows)}\n${perplexity.protocol}, ${perplexity.windows} windows in ${formatDuration(seconds * 1000)}`;
}
