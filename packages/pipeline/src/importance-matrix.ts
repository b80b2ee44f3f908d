import { rename, rm, stat } from 'node:fs/promises';
import { type ImportanceStatistics, importanceStatistics, mergeImportance } from '@calibrant/calibrators';
import { fileSink } from '@calibrant/checkpoint';
import {
  type Backend,
  CalibrantError,
  type Format,
  type ImportanceMatrix,
  parseOptions,
  parseRecipe,
  type RecipeInput,
  type Registry,
  type RunOptions,
  throwIfAborted,
} from '@calibrant/core';
import { importanceFilesOf, readImportance } from './importance/read-importance.js';
import { computeMatrix } from './importance/recipe-importance.js';
import { warnOfGaps } from './importance/warn-of-gaps.js';
import { openModel } from './open-model.js';
import { openRegistered } from './open-transformer.js';

export interface ImportanceOptions extends RunOptions {
  /** A folder, a file, or a Hub repository to run; left out, the files of `merge` alone are put together. */
  readonly model?: string;
  readonly calibration?: RecipeInput['calibration'];
  /** Observe the output projection, too, where it is a weight of its own. */
  readonly output?: boolean;
  /** Files of importance matrices to add. */
  readonly merge?: readonly string[];
  /** The file to write. It appears only when complete. */
  readonly out: string;
  /** Replace it when it exists. */
  readonly force?: boolean;
  /** The layout of the file, one of those of the format: `gguf` (if absent) or `dat`. */
  readonly layout?: string;
  /** The format whose names and files are used; `gguf` if absent. */
  readonly format?: string;
  readonly registry: Registry;
  readonly backend: Backend;
}

export interface ImportanceResult {
  readonly out: string;
  readonly layout: string;
  /** Weights in the file. */
  readonly entries: number;
  readonly chunks: number;
  readonly chunkSize: number;
  readonly datasets: readonly string[];
  readonly seconds: number;
}

/**
 * Computes an importance matrix, `Σ x²` per input channel of each linear layer, by running a model on a calibration set, adds files of earlier ones, and
 * writes the sum. Sums are made in f64, in an order that does not depend on threads; the files hold f32.
 *
 * @throws CalibrantError when there is neither a model nor a file, when sizes differ, and when `out` exists.
 * @example
 * await makeImportanceMatrix({ model: './my-model', calibration: { source: 'file', path: 'notes.txt' }, out: 'imatrix.gguf', registry, backend });
 */
export async function makeImportanceMatrix(options: ImportanceOptions): Promise<ImportanceResult> {
  const started = performance.now();
  const { out, merge = [], registry } = options;
  const format = registry.get('format', options.format ?? 'gguf');
  const files = importanceFilesOf(format);
  const layout = options.layout ?? files.layouts[0];
  if (!files.layouts.includes(layout))
    throw new CalibrantError('INVALID_ARGUMENT', `Importance matrices are written as ${files.layouts.join(' or ')}, found "${layout}".`, {
      option: '--format',
    });
  if (!options.force && (await stat(out).catch(() => undefined)))
    throw new CalibrantError('OUTPUT_EXISTS', `${out} exists already. Choose another name, or replace it with --force.`, { file: out });
  const matrices: ImportanceMatrix[] = [];
  for (const file of merge) matrices.push(await readImportance(file, format));
  if (options.model !== undefined) matrices.push(await computeFor(options.model, format, options));
  if (matrices.length === 0)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      'There is nothing to make an importance matrix from: give a model, or files with --merge.',
    );
  const matrix = mergeImportance(matrices);
  if (merge.length > 0) warnOfGaps(matrix, options);
  throwIfAborted(options.signal);
  await writeFile(out, (sink) => files.write(matrix, sink, layout));
  const { entries, chunks, chunkSize, datasets } = matrix;
  return { out, layout, entries: entries.size, chunks, chunkSize, datasets, seconds: (performance.now() - started) / 1000 };
}

async function computeFor(model: string, format: Format, options: ImportanceOptions): Promise<ImportanceMatrix> {
  const { registry, backend } = options;
  const recipe = parseRecipe({ format: format.name, ...(options.calibration ? { calibration: options.calibration } : {}) });
  const checkpoint = await openModel(model, options);
  try {
    const transformer = openRegistered(checkpoint, backend, registry);
    try {
      const facts = {
        config: checkpoint.config,
        architecture: transformer.description.name,
        tensors: checkpoint.tensors,
        linears: new Set(transformer.linears().map(({ name }) => name)),
      };
      const formatOptions = parseOptions(format.options, {}, 'format');
      const outputs = await format.outputs({ checkpoint, facts, recipe }, formatOptions);
      return await computeMatrix(recipe.calibration, outputs, { ...options, transformer });
    } finally {
      await transformer.release();
    }
  } finally {
    await checkpoint.close();
  }
}

/** Writes beside the final name and renames, so that the file is whole or not there. */
async function writeFile(out: string, write: (sink: Awaited<ReturnType<typeof fileSink>>) => Promise<void>): Promise<void> {
  const staging = `${out}.${process.pid}.part`;
  try {
    const sink = await fileSink(staging);
    try {
      await write(sink);
    } finally {
      await sink.close();
    }
    await rename(staging, out);
  } catch (error) {
    await rm(staging, { force: true });
    throw error;
  }
}

export interface ImportanceDescription {
  readonly file: string;
  readonly datasets: readonly string[];
  readonly chunks: number;
  readonly chunkSize: number;
  readonly weights: readonly ImportanceStatistics[];
}

/** Figures of an importance matrix in a file, for each weight. Needs no model. */
export async function describeImportanceMatrix(
  file: string,
  { registry, format = 'gguf', ...run }: { readonly registry: Registry; readonly format?: string } & RunOptions,
): Promise<ImportanceDescription> {
  const matrix = await readImportance(file, registry.get('format', format));
  warnOfGaps(matrix, run);
  const { datasets, chunks, chunkSize } = matrix;
  return { file, datasets, chunks, chunkSize, weights: importanceStatistics(matrix) };
}
