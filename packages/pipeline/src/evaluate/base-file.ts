import path from 'node:path';
import { createAtomicFiles, openSource } from '@calibrant/checkpoint';
import { type Backend, type ByteSink, CalibrantError } from '@calibrant/core';
import {
  type BaseIdentity,
  type BaseLogits,
  type BaseLogitsHeader,
  type BaseLogitsSink,
  openBaseLogits,
  type TokenWindows,
  writeBaseLogits,
} from '@calibrant/eval';

export interface SaveBaseFile {
  readonly file: string;
  readonly backend: Backend;
  readonly windows: TokenWindows;
  readonly vocabSize: number;
  readonly base: BaseIdentity;
  readonly text: string;
}

/** Runs `body` with a sink for base logits; the file appears when it is complete, replacing an older one. */
export async function withSavedBase<Result>(
  { file, ...options }: SaveBaseFile,
  body: (save: BaseLogitsSink) => Promise<Result>,
): Promise<Result> {
  const files = await createAtomicFiles(path.dirname(path.resolve(file)), { force: true });
  let sink: ByteSink | undefined;
  try {
    const save = await writeBaseLogits({
      ...options,
      async create(bytes) {
        sink = await files.create(path.basename(file), { bytes });
        return sink;
      },
    });
    const result = await body(save);
    await sink?.close();
    sink = undefined;
    await files.commit();
    return result;
  } finally {
    await sink?.close();
    await files.abort();
  }
}

/** Runs `body` with the base logits of a file. */
export async function withBaseFile<Result>(
  file: string,
  { backend, windows, base }: { readonly backend: Backend; readonly windows: TokenWindows; readonly base?: BaseIdentity | undefined },
  body: (base: BaseLogits & { readonly header: BaseLogitsHeader }) => Promise<Result>,
): Promise<Result> {
  const source = await openSource(file);
  try {
    if (source.size === 0) throw new CalibrantError('CORRUPT_FILE', `${file} is empty. Make it with --save-base-logits.`, { file });
    const expected = base?.sha256 === undefined ? {} : { base: { name: base.name, sha256: base.sha256 } };
    return await body(await openBaseLogits({ backend, source, windows, ...expected }));
  } finally {
    await source.close();
  }
}
