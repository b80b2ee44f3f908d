import path from 'node:path';
import { createAtomicFiles, openSource } from '@calibrant/checkpoint';
import type { OutputFolder } from '@calibrant/core';
import { type GgufModel, readGgufModel } from '@calibrant/gguf-format';
import type { Command } from 'commander';

/** A file or URL, for help texts. */
export const MODEL = 'a GGUF file or its URL; any part of a split model stands for all of it';

/** Options of a command that computes nothing. */
export interface PlainOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly force?: boolean;
}

export function addPlainOptions(command: Command): Command {
  return command.option('--json', 'print the result as JSON').option('--quiet', 'no progress');
}

/** Opens a model for the time of a piece of work. */
export async function withModel<Result>(
  reference: string,
  signal: AbortSignal,
  body: (model: GgufModel) => Promise<Result>,
): Promise<Result> {
  const source = await openSource(reference, { signal });
  let model: GgufModel;
  try {
    model = await readGgufModel(source);
  } catch (error) {
    await source.close();
    throw error;
  }
  try {
    return await body(model);
  } finally {
    await model.close();
  }
}

/** Writes files beside each other that appear under their names together, when `body` has made all of them. */
export async function withOutputs<Result>(
  folder: string,
  { force }: { readonly force?: boolean },
  body: (files: OutputFolder) => Promise<Result>,
): Promise<Result> {
  const files = await createAtomicFiles(folder, { force: force ?? false });
  try {
    const result = await body(files);
    await files.commit();
    return result;
  } finally {
    await files.abort();
  }
}

/** The folder and name of an output. */
export function outputPlace(file: string): { folder: string; name: string } {
  return { folder: path.dirname(path.resolve(file)), name: path.basename(file) };
}
