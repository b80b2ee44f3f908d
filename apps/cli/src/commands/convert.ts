import { type ConvertResult, convertModel } from '@calibrant/pipeline';
import type { Command } from 'commander';
import { formatBytes } from '../output/format.js';
import { addCommonOptions, collect } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';
import { assignments } from './methods.js';

interface ConvertCommandOptions extends CommonOptions {
  readonly format: string;
  readonly out: string;
  readonly formatOption?: string[];
  readonly allowLossy?: boolean;
  readonly scheme?: string;
  readonly force?: boolean;
}

/** `calibrant convert`: a quantized model in another format, without rounding. */
export function addConvert(program: Command): Command {
  const command = program
    .command('convert')
    .description('convert a quantized model (GPTQ, AWQ, compressed-tensors, bitsandbytes) to another format, its codes as they are')
    .argument('<model>', 'a folder, or a Hugging Face repository (org/name, org/name@revision)')
    .requiredOption('--format <name>', 'gptq, awq, compressed-tensors, bitsandbytes or gguf')
    .requiredOption('--out <folder>', 'where the converted model goes; must be empty or not exist')
    .option('--format-option <option=value>', 'an option of the format, such as version=gptq_v2; may be repeated', collect)
    .option('--allow-lossy', 'round tensors again whose codes the format cannot hold, instead of refusing them')
    .option(
      '--scheme <name>',
      'with --allow-lossy: the scheme of such tensors (default Q8_0, int4-g128-asym or int8-channel-sym by format)',
    )
    .option('--force', 'replace what is in the output folder');
  return addCommonOptions(command).action(async (model: string, options: ConvertCommandOptions) => {
    const result = await withRun(options, ({ registry, backend, reporter, signal }) =>
      convertModel({
        model,
        format: options.format,
        formatOptions: assignments(options.formatOption, '--format-option'),
        out: options.out,
        force: options.force ?? false,
        allowLossy: options.allowLossy ?? false,
        ...(options.scheme === undefined ? {} : { scheme: options.scheme }),
        registry,
        backend,
        onEvent: reporter.onEvent,
        signal,
      }),
    );
    process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${summary(result)}\n`);
  });
}

function summary({ steps, verified, tensors, files, bytes, bitsPerWeight }: ConvertResult): string {
  const kinds = new Map<string, number>();
  for (const { step, from, to, reason } of tensors) {
    if (step === 'copied') continue;
    const line = `${step === 'exact' ? 'taken over as they are' : 'rounded again'}: ${from} → ${to}${reason ? ` (${reason.replace(/\.$/, '')})` : ''}`;
    kinds.set(line, (kinds.get(line) ?? 0) + 1);
  }
  return [
    `Wrote ${formatBytes(bytes)} (${bitsPerWeight.toFixed(2)} bits per weight).`,
    ...[...kinds].map(([line, count]) => `  ${count} tensors ${line}`),
    `  ${steps.copied} tensors not quantized`,
    ...(verified > 0 ? [`${verified} tensors were read back and have the values of the source, bit by bit.`] : []),
    ...files.map((file) => `  ${file}`),
  ].join('\n');
}
