import { makeStatistics, type StatisticsResult } from '@calibrant/pipeline';
import type { Command } from 'commander';
import { formatBytes, formatCount, formatDuration } from '../output/format.js';
import { renderTable } from '../output/table.js';
import { addCommonOptions } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';
import { addTextOptions, calibrationSize, calibrationSource, type TextOptions } from './text-source.js';

interface CalibrateOptions extends CommonOptions, TextOptions {
  readonly calibration: string;
  readonly out: string;
  readonly compareText?: string;
  readonly hessians?: boolean;
  readonly force?: boolean;
}

/** `calibrant calibrate`: runs a model once on calibration text and keeps what its layers see. */
export function addCalibrate(program: Command): Command {
  const command = program
    .command('calibrate')
    .description('run a model once on calibration text, and keep statistics of every linear layer’s input for many recipes')
    .argument('<model>', 'a folder, a GGUF file, or a Hugging Face repository')
    .requiredOption('--out <file>', 'the file to write, such as statistics.safetensors')
    .option(
      '--calibration <source>',
      'self (text that the model generates), random, a file or folder of text, or a data set of the Hub (org/name[@revision][:split]); several by shares: notes.txt=2,code.jsonl,self',
      'self',
    )
    .option('--compare-text <file>', 'a text that the model is meant for: say how far the calibration text is from it')
    .option(
      '--hessians',
      'also keep Hessians in a file beside it: gptq with --propagate full and trueSequential=false then needs no run of the model (2 · in² bytes for each input)',
    )
    .option('--force', 'replace the file');
  return addCommonOptions(addTextOptions(command)).action(async (model: string, options: CalibrateOptions) => {
    const { out, compareText, force = false, hessians = false } = options;
    const result = await withRun(options, ({ registry, backend, reporter, signal }) =>
      makeStatistics({
        model,
        calibration: { ...calibrationSource(options.calibration), ...calibrationSize(options) },
        out,
        force,
        hessians,
        ...(compareText === undefined ? {} : { compareText }),
        registry,
        backend,
        onEvent: reporter.onEvent,
        signal,
      }),
    );
    process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${describe(result)}\n`);
  });
}

function describe({ out, hessians, calibration, inputs, seconds }: StatisticsResult): string {
  const { sequences, tokens, available, source, comparison } = calibration;
  const percent = (part: number) => `${(100 * part).toFixed(1)} %`;
  const rows = inputs.map(({ layers, channels, min, max, rms, peakRatio, deadChannels }) => [
    layers[0].replace(/\.weight$/, ''),
    formatCount(layers.length),
    formatCount(channels),
    ...[min, max, rms, peakRatio].map((value) => value.toPrecision(4)),
    formatCount(deadChannels),
  ]);
  return [
    `Wrote ${out} in ${formatDuration(seconds * 1000)}: inputs of ${formatCount(inputs.reduce((sum, { layers }) => sum + layers.length, 0))} linear layers on ${formatCount(sequences)} sequences (${formatCount(tokens)} of ${formatCount(available)} tokens, ${source}).`,
    ...(hessians
      ? [
          `Wrote ${hessians}, their Hessians (${formatBytes(inputs.reduce((sum, { channels }) => sum + 2 * channels * (channels + 1), 0))}): gptq takes them with --propagate full --set trueSequential=false.`,
        ]
      : []),
    ...(comparison
      ? [
          `Against the text compared with: ${comparison.divergence.toFixed(3)} bits of Jensen-Shannon divergence (${comparison.expected.toFixed(3)} by chance), ${percent(comparison.unseenShare)} of its tokens never seen.`,
        ]
      : []),
    '',
    renderTable(['input of', 'layers', 'channels', 'min', 'max', 'rms', 'peak / median', 'dead'], rows),
  ].join('\n');
}
