import { existsSync } from 'node:fs';
import type { Recipe } from '@calibrant/core';

/** Everything on this machine that a run reads: its output must not take the place of any of it. */
export function localInputs(model: string, { calibration, importance, statistics }: Partial<Recipe> = {}): string[] {
  const measured = importance === undefined ? undefined : 'file' in importance ? importance.file : importance.calibration.path;
  const parts = [calibration, importance && 'calibration' in importance ? importance.calibration : undefined].flatMap(
    (set) => set?.parts ?? [],
  );
  const named = [model, calibration?.path, measured, statistics, ...parts.map(({ path }) => path)];
  return named.filter((path): path is string => path !== undefined && existsSync(path));
}
