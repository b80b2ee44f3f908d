import { fileSource } from '@calibrant/checkpoint';
import { CalibrantError, type Format, type ImportanceFiles, type ImportanceMatrix } from '@calibrant/core';

/** A format's way to store importance matrices. */
export function importanceFilesOf(format: Format): ImportanceFiles {
  if (format.importance) return format.importance;
  throw new CalibrantError(
    'UNSUPPORTED',
    `The format "${format.name}" does not know files of importance matrices; gguf does. Use --format gguf.`,
    { option: 'recipe.importance' },
  );
}

/** Reads an importance matrix. @throws CalibrantError `NOT_FOUND`, `IO`, `CORRUPT_FILE` */
export async function readImportance(path: string, format: Format): Promise<ImportanceMatrix> {
  const files = importanceFilesOf(format);
  const source = await fileSource(path);
  try {
    return await files.read(source);
  } finally {
    await source.close();
  }
}
