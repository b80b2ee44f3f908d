import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { CalibrantError } from '@calibrant/core';
import { parseReport, type ReportData, type RunFigures, runOf } from '@calibrant/report';

/** A report that the user named. */
export interface NamedRun {
  readonly data: ReportData;
  readonly run: RunFigures;
}

/**
 * Reads reports by their files or by the folders that hold them. Runs of one name are told apart by the folders.
 *
 * @throws CalibrantError `NOT_FOUND` that says what is looked for.
 */
export async function readRuns(references: readonly string[]): Promise<NamedRun[]> {
  const read = await Promise.all(
    references.map(async (reference) => {
      const file = await reportFile(reference);
      return { file, data: parseReport(await readFile(file, 'utf8'), file) };
    }),
  );
  const names = read.map(({ data }) => data.model.name);
  return read.map(({ file, data }) => {
    const alone = names.filter((name) => name === data.model.name).length === 1;
    return { data, run: runOf(data, alone ? data.model.name : `${data.model.name} (${path.basename(path.dirname(path.resolve(file)))})`) };
  });
}

async function reportFile(reference: string): Promise<string> {
  const found = await stat(reference).catch(() => undefined);
  if (found?.isFile()) return reference;
  const inside = path.join(reference, 'report.json');
  if (found?.isDirectory() && (await stat(inside).catch(() => undefined))?.isFile()) return inside;
  throw new CalibrantError(
    'NOT_FOUND',
    `There is no report at "${reference}". Give a report.json, or the folder that calibrant report wrote.`,
    { file: reference },
  );
}
