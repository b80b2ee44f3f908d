import { openSource } from '@calibrant/checkpoint';
import { type GgufVerification, verifyGguf } from '@calibrant/gguf-format';
import type { Command } from 'commander';
import { formatBytes, formatCount } from '../output/format.js';
import { withSignal } from '../run-context.js';
import { addPlainOptions, MODEL, type PlainOptions } from './gguf-files.js';

/** `calibrant gguf verify`: exit code 1 and the list of faults for a file that has some. */
export function addVerify(parent: Command): void {
  const command = parent
    .command('verify')
    .description('check structure, sizes, scales and tokenizer keys of a GGUF file')
    .argument('<file>', MODEL);
  addPlainOptions(command).action(async (file: string, options: PlainOptions) => {
    const result = await withSignal(options, async ({ reporter, signal }) =>
      verifyGguf(await openSource(file, { signal }), { onEvent: reporter.onEvent, signal }),
    );
    process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${describe(file, result)}\n`);
    if (result.faults.length > 0) process.exitCode = 1;
  });
}

function describe(file: string, { faults, files, tensors, bytes }: GgufVerification): string {
  if (faults.length === 0)
    return `${file} is in order: ${formatCount(tensors)} tensors, ${formatBytes(bytes)}${files > 1 ? ` in ${files} files` : ''}.`;
  return [`${file} has ${formatCount(faults.length)} ${faults.length === 1 ? 'fault' : 'faults'}:`, ...faults.map(faultLine)].join('\n');
}

function faultLine({ message, offset }: GgufVerification['faults'][number]): string {
  return `  ${message}${offset === undefined || message.includes('at byte') ? '' : ` (byte ${offset})`}`;
}
