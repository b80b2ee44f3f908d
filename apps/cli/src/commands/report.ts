import path from 'node:path';
import { makeReport } from '@calibrant/pipeline';
import { advise, modelCard, renderHtml, summarize } from '@calibrant/report';
import type { Command } from 'commander';
import { checkFolder, writeFiles } from '../output/write-files.js';
import { addCommonOptions, collect } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';
import { addEvaluationOptions, type EvaluationOptions, evaluationRequest } from './evaluation-options.js';
import { readRuns } from './report-runs.js';

interface ReportOptions extends CommonOptions, EvaluationOptions {
  readonly base: string;
  readonly text: string;
  readonly out?: string;
  readonly with?: string[];
}

/** `calibrant report`: what quantization cost, as HTML, model card and JSON. */
export function addReport(program: Command): Command {
  const command = program
    .command('report')
    .description('measure what quantization cost, and write it as an HTML page, a model card and JSON')
    .argument('<model>', 'the quantized model: a folder, a GGUF file, or a Hugging Face repository')
    .requiredOption('--base <model>', 'the full-precision model that it was made from')
    .requiredOption('--text <file>', 'a text to measure on that it was not calibrated on, UTF-8')
    .option('--out <folder>', 'where report.html, report.json and README.md go (default: the name of the model with -report)')
    .option('--with <report>', 'another report to show beside it in the plot of size against quality; may be repeated', collect);
  return addCommonOptions(addEvaluationOptions(command)).action(async (model: string, options: ReportOptions) => {
    const others = await readRuns(options.with ?? []);
    const folder = options.out ?? `${path.basename(model).replace(/\.gguf$/, '')}-report`;
    await checkFolder(folder);
    const request = evaluationRequest(options);
    const data = await withRun(options, ({ registry, backend, reporter, signal }) =>
      makeReport({
        model,
        base: options.base,
        text: options.text,
        others: others.map(({ run }) => run),
        ...request,
        registry,
        backend,
        onEvent: reporter.onEvent,
        signal,
      }),
    );
    await writeFiles(folder, {
      'report.json': `${JSON.stringify(data, null, 2)}\n`,
      'README.md': modelCard(data),
      'report.html': renderHtml(data),
    });
    if (options.json) process.stdout.write(`${JSON.stringify(data, null, 2)}\n`);
    else {
      const advice = advise(data).map(({ finding, next }) => `- ${finding}${next?.options ? ` Try ${next.options}` : ''}`);
      const written = `Written: ${path.join(folder, 'report.html')}, report.json, README.md (the model card)`;
      process.stdout.write(`${[summarize(data), ...advice, written].join('\n')}\n`);
    }
  });
}
