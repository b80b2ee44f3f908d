import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { CalibrationStudy, StudyRun } from '@calibrant/report';

/** Runs of an earlier, stopped study of the same things. */
export async function readSaved(file: string | undefined, study: CalibrationStudy): Promise<StudyRun[]> {
  if (file === undefined) return [];
  try {
    const saved = JSON.parse(await readFile(file, 'utf8')) as CalibrationStudy;
    return conditions(saved) === conditions(study) ? [...saved.runs] : [];
  } catch {
    return [];
  }
}

/** All that a run depends on but is not told apart by. */
function conditions({ schema, scheme, length, windows, outlierTwin, recipes, versions }: CalibrationStudy): string {
  return JSON.stringify([schema, scheme, length, windows ?? null, outlierTwin ?? null, recipes ?? null, versions]);
}

export async function saveStudy(file: string | undefined, study: CalibrationStudy): Promise<void> {
  if (file === undefined) return;
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(study, null, 2)}\n`);
}
