import { mergeGguf, parseSize, splitGguf, type WrittenGguf } from '@calibrant/gguf-format';
import type { Command } from 'commander';
import { formatBytes, formatCount } from '../output/format.js';
import { wholeNumber } from '../program.js';
import { withSignal } from '../run-context.js';
import { addPlainOptions, MODEL, outputPlace, type PlainOptions, withModel, withOutputs } from './gguf-files.js';

interface SplitOptions extends PlainOptions {
  readonly splitMaxSize?: string;
  readonly splitMaxTensors?: number;
}

/** `calibrant gguf merge`: the parts of a split model as one file. */
export function addMerge(parent: Command): void {
  const command = parent
    .command('merge')
    .description('write a split model as one file')
    .argument('<part>', 'any part of the model, or its URL')
    .argument('<out>', 'the file to write')
    .option('--force', 'replace the file');
  addPlainOptions(command).action(async (part: string, out: string, options: PlainOptions) => {
    const { folder, name } = outputPlace(out);
    const written = await withSignal(options, ({ reporter, signal }) =>
      withModel(part, signal, (model) =>
        withOutputs(folder, options, (files) => mergeGguf(model, files, { fileName: name, onEvent: reporter.onEvent, signal })),
      ),
    );
    print([written], options);
  });
}

/** `calibrant gguf split`: parts as llama.cpp names them. */
export function addSplit(parent: Command): void {
  const command = parent
    .command('split')
    .description('write a model as several files, OUTPREFIX-00001-of-00003.gguf and so on')
    .argument('<file>', MODEL)
    .argument('<outprefix>', "the parts' path without number and extension")
    .option('--split-max-size <size>', 'tensor data per file at most: 2GB, 500M, or bytes')
    .option('--split-max-tensors <n>', 'tensors per file at most (128 when neither is given)', wholeNumber)
    .option('--force', 'replace files');
  addPlainOptions(command).action(async (file: string, prefix: string, options: SplitOptions) => {
    const { folder, name } = outputPlace(prefix);
    const limits = {
      ...(options.splitMaxSize === undefined ? {} : { maxBytes: parseSize(options.splitMaxSize, '--split-max-size') }),
      ...(options.splitMaxTensors === undefined && options.splitMaxSize !== undefined
        ? {}
        : { maxTensors: options.splitMaxTensors ?? 128 }),
    };
    const written = await withSignal(options, ({ reporter, signal }) =>
      withModel(file, signal, (model) =>
        withOutputs(folder, options, (files) => splitGguf(model, files, { prefix: name, ...limits, onEvent: reporter.onEvent, signal })),
      ),
    );
    print(written, options);
  });
}

function print(files: readonly WrittenGguf[], { json }: PlainOptions): void {
  const lines = files.map(({ name, bytes, tensors }) => `  ${name}: ${formatCount(tensors)} tensors, ${formatBytes(bytes)}`);
  process.stdout.write(json ? `${JSON.stringify({ files }, null, 2)}\n` : `Wrote\n${lines.join('\n')}\n`);
}
