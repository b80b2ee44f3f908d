import { diffGguf, type GgufDifference, type MetadataDifference, type TensorDifference } from '@calibrant/gguf-format';
import type { Command } from 'commander';
import { formatCount } from '../output/format.js';
import { renderTable } from '../output/table.js';
import { addCommonOptions } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';
import { plain } from './gguf-dump.js';
import { MODEL, withModel } from './gguf-files.js';

/** `calibrant gguf diff`: exit code 1 for models that differ, as `diff` does. */
export function addDiff(parent: Command): void {
  const command = parent
    .command('diff')
    .description('compare two GGUF files: metadata, and tensors by bytes and by decoded values')
    .argument('<a>', MODEL)
    .argument('<b>', 'the other one');
  addCommonOptions(command).action(async (a: string, b: string, options: CommonOptions) => {
    const result = await withRun(options, ({ backend, reporter, signal }) =>
      withModel(a, signal, (first) =>
        withModel(b, signal, (second) => diffGguf(first, second, { backend, onEvent: reporter.onEvent, signal })),
      ),
    );
    process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${describe(result)}\n`);
    if (!result.equal) process.exitCode = 1;
  });
}

function describe({ equal, metadata, tensors, equalTensors }: GgufDifference): string {
  if (equal) return `Equal: all metadata and ${formatCount(equalTensors)} tensors.`;
  const parts: string[] = [];
  if (metadata.length > 0) parts.push(renderTable(['key', 'a', 'b'], metadata.map(metadataRow), ['left', 'left', 'left']));
  if (tensors.length > 0)
    parts.push(
      renderTable(['tensor', 'a', 'b', 'max', 'RMS', 'relative RMS'], tensors.map(tensorRow), [
        'left',
        'left',
        'left',
        'right',
        'right',
        'right',
      ]),
    );
  parts.push(
    `${counted(metadata.length, 'key')} and ${counted(tensors.length, 'tensor')} differ, ${counted(equalTensors, 'tensor')} the same.`,
  );
  return parts.join('\n\n');
}

function metadataRow({ key, a, b, elements }: MetadataDifference): string[] {
  const shown = (of: MetadataDifference['a']) =>
    of ? `${plain(of.value)}${of.length ? ` … (${formatCount(of.length)})` : ''} ${of.type}` : '—';
  const note = elements ? `, ${formatCount(elements.count)} elements from ${elements.first} on` : '';
  return [key, shown(a), `${shown(b)}${note}`];
}

function tensorRow(of: TensorDifference): string[] {
  if (of.kind === 'shape') return [of.name, of.a.join(' × '), of.b.join(' × '), '', '', ''];
  if (of.kind !== 'values') {
    const there = `${of.type} ${of.shape.join(' × ')}`;
    return [of.name, ...(of.kind === 'only-in-a' ? [there, '—'] : ['—', there]), '', '', ''];
  }
  const { difference } = of;
  if (!difference) return [of.name, of.a, of.b, '', '', ''];
  const numbers = [difference.max, difference.rms, difference.relativeRms].map((value) => value.toPrecision(3));
  const note = difference.nonFinite > 0 ? ` (${formatCount(difference.nonFinite)} not finite)` : '';
  return [of.name, of.a, `${of.b}${note}`, ...numbers];
}

function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}
