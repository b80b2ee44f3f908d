import { type InjectionResult, injectOutliers } from '@calibrant/pipeline';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { formatCount, formatDuration } from '../output/format.js';
import { addCommonOptions, wholeNumber } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';

interface InjectOptions extends CommonOptions {
  readonly out: string;
  readonly channels: number;
  readonly factor: number;
  readonly seed: number;
  readonly inner?: boolean;
  readonly dtype: 'f32' | 'source';
  readonly force?: boolean;
}

/** `calibrant outliers inject`: a model that computes the same, with outlier channels. */
export function addInject(parent: Command): Command {
  const command = parent
    .command('inject')
    .description('write a model that computes the same but has outlier channels like those of OPT: a test bed for methods against them')
    .argument('<model>', 'a folder, a GGUF file, or a Hugging Face repository')
    .requiredOption('--out <folder>', 'the folder to write')
    .option('--channels <n>', 'channels that become outliers, the same in every block', wholeNumber, 4)
    .option('--factor <x>', 'how much larger they become', factorOf, 50)
    .option('--seed <n>', 'of the choice of channels', seedOf, 0)
    .option('--inner', 'also as many channels between v and o, and between up and down')
    .addOption(
      new Option('--dtype <type>', 'type of the written weights; source rounds what was scaled').choices(['f32', 'source']).default('f32'),
    )
    .option('--force', 'replace the output folder');
  return addCommonOptions(command).action(async (model: string, options: InjectOptions) => {
    const { out, channels, factor, seed, inner = false, dtype, force = false } = options;
    const result = await withRun(options, ({ registry, backend, reporter, signal }) =>
      injectOutliers({ model, out, channels, factor, seed, inner, dtype, force, registry, backend, onEvent: reporter.onEvent, signal }),
    );
    process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${summary(result)}\n`);
  });
}

function summary({ out, channels, factor, injections, seconds }: InjectionResult): string {
  const inner = injections.filter(({ residual }) => !residual).length;
  return [
    `Wrote ${out} in ${formatDuration(1000 * seconds)}.`,
    `Channels ${channels.join(', ')} are ${factor} times as large at ${formatCount(injections.length - inner)} inputs of linear layers${inner > 0 ? `, others at ${formatCount(inner)} inputs inside of attention and MLP` : ''}; the function is the same.`,
  ].join('\n');
}

/** How much larger channels become. */
export function factorOf(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

function seedOf(text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value >= 0)) throw new InvalidArgumentError('It must be a whole number, 0 or more.');
  return value;
}
