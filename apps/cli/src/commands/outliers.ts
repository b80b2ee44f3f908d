import { analyzeOutliers, type OutlierOptions } from '@calibrant/pipeline';
import { type Command, InvalidArgumentError } from 'commander';
import { formatDuration } from '../output/format.js';
import { addCommonOptions, wholeNumber } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';
import { describeComparison } from './outliers-comparison.js';
import { addInject } from './outliers-inject.js';
import { describeOutliers } from './outliers-report.js';
import { addTextOptions, calibrationSize, calibrationSource, type TextOptions } from './text-source.js';

interface OutliersOptions extends CommonOptions, TextOptions {
  readonly calibration: string;
  readonly compare?: string;
  readonly threshold?: number;
  readonly layerShare?: number;
  readonly positionShare?: number;
  readonly massiveValue?: number;
  readonly massiveRatio?: number;
  readonly sigma?: number[];
  readonly bits: number;
  readonly groupSize: number;
  readonly weightsOnly?: boolean;
  readonly activationsOnly?: boolean;
  readonly all?: boolean;
}

/** `calibrant outliers`: large weights, channels and activations of a model, and what another version of it changed. */
export function addOutliers(program: Command): Command {
  const command = program
    .command('outliers')
    // Options behind `inject` are its own.
    .enablePositionalOptions()
    .description('find outliers in weights and activations, compare two models, or make a model with outlier channels')
    .argument('<model>', 'a folder, a GGUF file, or a Hugging Face repository')
    .option('--compare <model>', 'a second model, for example the same one transformed or quantized')
    .option(
      '--calibration <source>',
      'what activations are observed on: self (text that the model writes), or a file or folder of text',
      'self',
    )
    .option('--threshold <x>', 'size from which a value counts as an outlier (default 6, as in LLM.int8())', positive)
    .option('--layer-share <share>', 'share of the layers in which an outlier channel must have one (default 0.25)', Number)
    .option('--position-share <share>', 'share of the token positions at which it must (default 0.06)', Number)
    .option('--massive-value <x>', 'least size of a massive activation (default 100)', positive)
    .option('--massive-ratio <x>', 'least size of one in medians of its layer (default 1000)', positive)
    .option('--sigma <k>', 'count weights beyond k standard deviations (default 3, 4 and 6); may be repeated', repeatedNumber)
    .option('--bits <n>', 'bits of the grids whose use is measured', bitCount, 4)
    .option('--group-size <n>', 'weights per group of the finest of these grids', wholeNumber, 128)
    .option('--weights-only', 'look at weights alone; the model does not run')
    .option('--activations-only', 'look at activations alone')
    .option('--all', 'show every layer');
  addCommonOptions(addTextOptions(command, { samples: '32, or 128 of self', length: '512, or 128 of self' })).action(
    async (model: string, options: OutliersOptions) => {
      if (options.weightsOnly && options.activationsOnly)
        command.error('error: --weights-only and --activations-only leave nothing to look at');
      const result = await withRun(options, ({ registry, backend, reporter, signal }) =>
        analyzeOutliers({ ...analysisOptions(model, options), registry, backend, onEvent: reporter.onEvent, signal }),
      );
      const { comparison, seconds, ...report } = result;
      const text = comparison ? describeComparison(comparison, options.all ?? false) : describeOutliers(report, options.all ?? false);
      process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : `${text}\n\nIn ${formatDuration(1000 * seconds)}.\n`);
    },
  );
  addInject(command).exitOverride();
  return command;
}

function analysisOptions(model: string, options: OutliersOptions): Omit<OutlierOptions, 'registry' | 'backend'> {
  const { threshold, layerShare, positionShare, massiveValue, massiveRatio, bits, groupSize } = options;
  const criteria = Object.fromEntries(
    Object.entries({ threshold, layerShare, positionShare, massiveValue, massiveRatio }).filter(([, value]) => value !== undefined),
  );
  return {
    model,
    ...(options.compare === undefined ? {} : { compare: options.compare }),
    calibration: { ...calibrationSource(options.calibration), ...calibrationSize(options) },
    criteria,
    weights: !options.activationsOnly,
    activations: !options.weightsOnly,
    grids: (['tensor', 'channel', groupSize] as const).map((granularity) => ({ bits, granularity })),
    ...(options.sigma ? { sigmas: options.sigma } : {}),
  };
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

function repeatedNumber(text: string, before: readonly number[] = []): number[] {
  return [...before, positive(text)];
}

function bitCount(text: string): number {
  const value = wholeNumber(text);
  if (value > 8) throw new InvalidArgumentError('It must be from 1 to 8.');
  return value;
}
