import { describeImportanceMatrix, type ImportanceDescription, type ImportanceResult, makeImportanceMatrix } from '@calibrant/pipeline';
import type { Command } from 'commander';
import { formatCount, formatDuration } from '../output/format.js';
import { renderTable } from '../output/table.js';
import { addCommonOptions, collect } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';
import { addTextOptions, calibrationSize, calibrationSource, type TextOptions } from './text-source.js';

interface ImatrixOptions extends CommonOptions, TextOptions {
  readonly calibration?: string;
  readonly out?: string;
  readonly format?: string;
  readonly merge?: string[];
  readonly resume?: string;
  readonly processOutput?: boolean;
  readonly force?: boolean;
  readonly showStatistics?: string;
}

/** `calibrant imatrix`: computes, merges and describes importance matrices in llama.cpp's files. */
export function addImatrix(program: Command): Command {
  const command = program
    .command('imatrix')
    .description('compute, merge and describe importance matrices for GGUF quantization')
    .argument('[model]', 'a folder, a GGUF file, or a Hugging Face repository; left out to merge files or show statistics')
    .option('--calibration <source>', 'self (text that the model generates, default), or a file or folder of text')
    .option('--out <file>', 'the file to write')
    .option('--format <layout>', 'gguf (default) or dat, the older layout')
    .option('--merge <file>', 'a file to add; may be repeated', collect)
    .option('--resume <file>', 'a file to add to; written back to it unless --out names another')
    .option('--process-output', 'observe the output projection, too')
    .option('--force', 'replace the file')
    .option('--show-statistics <file>', 'show what a file says of each weight; needs no model');
  return addCommonOptions(addTextOptions(command)).action(async (model: string | undefined, options: ImatrixOptions) => {
    const print = <T>(result: T, text: (of: T) => string) =>
      process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${text(result)}\n`);
    const { showStatistics, resume, merge = [] } = options;
    const out = options.out ?? resume;
    if (showStatistics === undefined && out === undefined) command.error("error: required option '--out <file>' not specified");
    await withRun(options, async ({ registry, backend, reporter, signal }) => {
      const run = { registry, backend, onEvent: reporter.onEvent, signal };
      if (showStatistics !== undefined) return print(await describeImportanceMatrix(showStatistics, run), statistics);
      const result = await makeImportanceMatrix({
        ...(model === undefined ? {} : { model }),
        calibration: { ...calibrationSource(options.calibration ?? 'self'), ...calibrationSize(options) },
        output: options.processOutput ?? false,
        merge: resume === undefined ? merge : [resume, ...merge],
        out: out ?? '',
        force: (options.force ?? false) || out === resume,
        ...(options.format === undefined ? {} : { layout: options.format }),
        ...run,
      });
      return print(result, summary);
    });
  });
}

function summary({ out, layout, entries, chunks, chunkSize, datasets, seconds }: ImportanceResult): string {
  return `Wrote ${out} (${layout}) in ${formatDuration(seconds * 1000)}: ${formatCount(entries)} weights, ${formatCount(chunks)} sequences of up to ${formatCount(chunkSize)} tokens, from ${datasets.join(', ') || 'unnamed text'}.`;
}

function statistics({ file, datasets, chunks, chunkSize, weights }: ImportanceDescription): string {
  const head = ['weight', 'Σ x²', 'min', 'max', 'mean', 'σ', 'active', 'channels', 'entropy', 'of most', 'z > 1', 'cosine'];
  const percent = (part: number) => `${(100 * part).toFixed(2)} %`;
  const rows = weights.map((of) => [
    of.name,
    ...[of.sum, of.min, of.max, of.mean, of.deviation].map((value) => value.toPrecision(4)),
    percent(of.active),
    formatCount(of.channels),
    of.entropy.toFixed(4),
    percent(of.normalizedEntropy),
    percent(of.zScoreDensity),
    of.similarity === undefined ? '' : of.similarity.toFixed(4),
  ]);
  return [
    `${file}: ${formatCount(weights.length)} weights, ${formatCount(chunks)} sequences of ${formatCount(chunkSize)} tokens, from ${datasets.join(', ') || 'unnamed text'}.`,
    'Mean squares of the input channels; entropy in bits, cosine with the same weight one layer before.',
    '',
    renderTable(head, rows),
  ].join('\n');
}
