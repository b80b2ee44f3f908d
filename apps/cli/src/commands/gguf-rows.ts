import { openSource } from '@calibrant/checkpoint';
import type { ByteSink, ByteSource } from '@calibrant/core';
import {
  type BlockType,
  blockType,
  decodeRawRows,
  encodedRowBytes,
  encodeRawRows,
  type RawRowsOptions,
  readImportance,
  type Search,
} from '@calibrant/gguf-format';
import { type Command, Option } from 'commander';
import { formatBytes, formatCount } from '../output/format.js';
import { addCommonOptions, wholeNumber } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';
import { outputPlace, withOutputs } from './gguf-files.js';

interface RowsOptions extends CommonOptions {
  readonly type: string;
  readonly columns: number;
  readonly imatrix?: string;
  readonly search?: Search;
  readonly force?: boolean;
}

type Convert = (from: ByteSource, to: ByteSink, options: RawRowsOptions) => Promise<number>;

/** `calibrant gguf encode`: raw floats to raw blocks. */
export function addEncode(parent: Command): void {
  const command = parent
    .command('encode')
    .description('encode rows of raw little-endian float32 into the blocks of a GGUF type')
    .argument('<in>', 'float32 values, row after row')
    .argument('<out>', 'the blocks, row after row')
    .option('--imatrix <file>', 'importance: one float32 per column')
    .addOption(
      new Option('--search <how>', 'ggml for the bytes of ggml, refined for less error in the same bytes').choices(['ggml', 'refined']),
    );
  addRowsOptions(command).action((from: string, to: string, options: RowsOptions) =>
    convertRows(from, to, options, { inBytes: (_type, columns) => 4 * columns, outBytes: encodedRowBytes }, async (source, sink, run) => {
      const importance = options.imatrix === undefined ? undefined : await readImportance(await openSource(options.imatrix), run.columns);
      const { search } = options;
      return encodeRawRows(source, sink, { ...run, ...(importance ? { importance } : {}), ...(search ? { search } : {}) });
    }),
  );
}

/** `calibrant gguf decode`: raw blocks to raw floats. */
export function addDecode(parent: Command): void {
  const command = parent
    .command('decode')
    .description('decode the blocks of a GGUF type into rows of raw little-endian float32')
    .argument('<in>', 'blocks, row after row')
    .argument('<out>', 'the float32 values, row after row');
  addRowsOptions(command).action((from: string, to: string, options: RowsOptions) =>
    convertRows(from, to, options, { inBytes: encodedRowBytes, outBytes: (_type, columns) => 4 * columns }, decodeRawRows),
  );
}

function addRowsOptions(command: Command): Command {
  return addCommonOptions(
    command
      .requiredOption('--type <name>', 'the GGUF type: q4_K, q8_0, bf16, ...')
      .requiredOption('--columns <n>', 'elements per row', wholeNumber)
      .option('--force', 'replace the output file'),
  );
}

type RowBytes = (type: BlockType, columns: number) => number;

async function convertRows(
  from: string,
  to: string,
  options: RowsOptions,
  sizes: { readonly inBytes: RowBytes; readonly outBytes: RowBytes },
  convert: Convert,
): Promise<void> {
  const { columns } = options;
  const type = blockType(options.type);
  const { folder, name } = outputPlace(to);
  const rows = await withRun(options, async ({ backend, reporter, signal }) => {
    const source = await openSource(from, { signal });
    try {
      return await withOutputs(folder, options, async (files) => {
        const bytes = Math.floor(source.size / sizes.inBytes(type, columns)) * sizes.outBytes(type, columns);
        const sink = await files.create(name, { bytes: Math.ceil(bytes) });
        try {
          return await convert(source, sink, { backend, type, columns, onEvent: reporter.onEvent, signal });
        } finally {
          await sink.close();
        }
      });
    } finally {
      await source.close();
    }
  });
  const result = { file: to, type: type.name, rows, columns, bytes: rows * sizes.outBytes(type, columns) };
  process.stdout.write(
    options.json
      ? `${JSON.stringify(result, null, 2)}\n`
      : `Wrote ${to}: ${formatCount(rows)} rows of ${formatCount(columns)} columns, ${formatBytes(result.bytes)}.\n`,
  );
}
