import { checkModel } from '@calibrant/pipeline';
import type { Command } from 'commander';
import { addCommonOptions, wholeNumbers } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';

interface CheckCommandOptions extends CommonOptions {
  readonly tensorParallel?: number[];
}

/** `calibrant check`: whether a quantized model can be served. */
export function addCheck(program: Command): Command {
  const command = program
    .command('check')
    .description('check whether vLLM and SGLang can load a quantized model, by its sizes and grids (before quantizing: quantize --dry-run)')
    .argument('<model>', 'a quantized folder, or a Hugging Face repository (org/name, org/name@revision)')
    .option('--tensor-parallel <n>', 'number of GPUs to split it over; may be repeated (default 2, 4 and 8)', wholeNumbers);
  return addCommonOptions(command).action(async (model: string, options: CheckCommandOptions) => {
    const result = await withRun(options, ({ registry, backend, reporter, signal }) =>
      checkModel({
        model,
        ...(options.tensorParallel ? { gpus: options.tensorParallel } : {}),
        registry,
        backend,
        onEvent: reporter.onEvent,
        signal,
      }),
    );
    const { storage, gpus, warnings } = result;
    const checked = `Checked ${storage.join(', ')} for one GPU and for ${gpus.join(', ')}`;
    const text =
      warnings.length === 0
        ? `${checked}: nothing stands in the way.`
        : [`${checked}:`, ...warnings.map((each) => `  - ${each}`)].join('\n');
    process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${text}\n`);
    if (warnings.length > 0) process.exitCode = 1;
  });
}
