import { dumpGguf, type GgufDump, type PlainValue } from '@calibrant/gguf-format';
import type { Command } from 'commander';
import { formatBytes, formatCount } from '../output/format.js';
import { renderTable } from '../output/table.js';
import { withSignal } from '../run-context.js';
import { MODEL, type PlainOptions, withModel } from './gguf-files.js';

interface DumpOptions extends PlainOptions {
  readonly tensors?: boolean;
  readonly full?: boolean;
}

/** `calibrant gguf dump`: what the header says. */
export function addDump(parent: Command): void {
  parent
    .command('dump')
    .description('show the metadata of a GGUF file')
    .argument('<file>', MODEL)
    .option('--tensors', 'list every tensor')
    .option('--full', 'show long arrays and strings whole')
    .option('--json', 'print the metadata and tensors as JSON')
    .action(async (file: string, { json, tensors, full }: DumpOptions) => {
      const limits = full ? { elements: Infinity, characters: Infinity } : {};
      const dump = await withSignal({ quiet: true }, ({ signal }) => withModel(file, signal, async (model) => dumpGguf(model, limits)));
      process.stdout.write(json ? `${JSON.stringify(dump, null, 2)}\n` : `${describe(dump, tensors ?? false)}\n`);
    });
}

function describe(dump: GgufDump, everyTensor: boolean): string {
  const files = dump.files.map(({ name, version, alignment, bytes, tensors }) => [
    name,
    `${version}`,
    `${alignment}`,
    formatCount(tensors),
    formatBytes(bytes),
  ]);
  const metadata = dump.metadata.map(({ key, type, value, length }) => [
    key,
    type,
    `${plain(value)}${length ? ` … (${formatCount(length)})` : ''}`,
  ]);
  const parts = [
    renderTable(['file', 'version', 'alignment', 'tensors', 'bytes'], files),
    renderTable(['key', 'type', 'value'], metadata, ['left', 'left', 'left']),
  ];
  if (everyTensor) {
    const split = dump.files.length > 1;
    const rows = dump.tensors.map(({ name, type, shape, offset, bytes, file }) => [
      name,
      type,
      shape.join(' × '),
      String(offset),
      formatBytes(bytes),
      ...(split ? [file] : []),
    ]);
    parts.push(renderTable(['tensor', 'type', 'shape', 'offset', 'bytes', ...(split ? ['file'] : [])], rows));
  }
  return parts.join('\n\n');
}

/** One line, without what a terminal would obey. */
export function plain(value: PlainValue): string {
  return (typeof value === 'string' ? JSON.stringify(value).slice(1, -1) : JSON.stringify(value)).replace(/[\u007f-\u009f]/g, '?');
}
