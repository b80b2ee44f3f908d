import { inspectModel, type ModelInspection } from '@calibrant/pipeline';
import type { Command } from 'commander';
import { formatBytes, formatCount } from '../output/format.js';
import { renderTable } from '../output/table.js';
import { addCommonOptions } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';

interface InspectOptions extends CommonOptions {
  readonly tensors?: boolean;
}

/** `calibrant inspect`: what is in a file, a folder or a repository, without loading it. */
export function addInspect(program: Command): Command {
  const command = program
    .command('inspect')
    .description('show what a model file or folder holds')
    .argument('<model>', 'a GGUF or safetensors file, a folder, or a Hugging Face repository')
    .option('--tensors', 'list every tensor');
  return addCommonOptions(command).action(async (model: string, options: InspectOptions) => {
    const result = await withRun({ ...options, quiet: true }, ({ registry, backend, signal }) =>
      inspectModel({ model, registry, backend, signal }),
    );
    process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${describe(result, options.tensors ?? false)}\n`);
  });
}

function describe(model: ModelInspection, everyTensor: boolean): string {
  const facts = [
    ['model', model.name],
    ['architecture', model.architecture],
    ['parameters', formatCount(model.parameters)],
    ['tensor data', `${formatBytes(model.bytes)} (${model.bitsPerWeight.toFixed(2)} bits per weight)`],
    ...Object.entries(model.shape).map(([name, value]) => [name, String(value)]),
  ];
  const types = model.types.map(({ type, tensors, parameters, bytes }) => [
    type,
    formatCount(tensors),
    formatCount(parameters),
    formatBytes(bytes),
  ]);
  const parts = [renderTable(['', ''], facts, ['left', 'left']), renderTable(['stored as', 'tensors', 'parameters', 'bytes'], types)];
  if (model.note) parts.push(`Its header alone is read here: ${model.note}`);
  if (everyTensor)
    parts.push(
      renderTable(
        ['tensor', 'stored as', 'shape', 'bytes'],
        model.tensors.map(({ name, type, shape, bytes }) => [name, type, shape.join(' × '), formatBytes(bytes)]),
      ),
    );
  return parts.join('\n\n');
}
