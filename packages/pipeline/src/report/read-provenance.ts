import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { CalibrationFigures, TargetFigures } from '@calibrant/report';
import { referenceKind } from '../open-model.js';
import { PROVENANCE_FILE } from '../quantize.js';

/** What a run of Calibrant saved with its output. */
export interface SavedProvenance {
  readonly recipe?: unknown;
  readonly calibration?: CalibrationFigures;
  readonly target?: TargetFigures;
}

/** The `calibrant.json` beside a model; empty for models of other origin, and for a file that is not what we write. */
export async function readProvenance(model: string): Promise<SavedProvenance> {
  const kind = await referenceKind(model);
  if (kind === undefined || /^https?:/.test(model)) return {};
  const folder = kind === 'folder' ? model : path.dirname(model);
  try {
    const saved = JSON.parse(await readFile(path.join(folder, PROVENANCE_FILE), 'utf8'));
    if (saved?.madeBy !== 'calibrant') return {};
    const { recipe, calibration, target } = saved;
    return {
      ...(recipe ? { recipe: withoutFolders(recipe) } : {}),
      ...(calibration ? { calibration } : {}),
      ...(target ? { target } : {}),
    };
  } catch {
    return {};
  }
}

/** A report is passed on: the texts and files that a recipe names, without the folders of the machine that used them. Names of Hub data sets stay. */
export function withoutFolders(recipe: unknown): unknown {
  if (Array.isArray(recipe)) return recipe.map(withoutFolders);
  if (typeof recipe !== 'object' || recipe === null) return recipe;
  const { source } = recipe as { readonly source?: unknown };
  return Object.fromEntries(
    Object.entries(recipe).map(([key, value]) => {
      const local = key === 'file' || key === 'statistics' || (key === 'path' && source !== 'hub');
      return [key, local && typeof value === 'string' ? path.basename(path.resolve(value)) : withoutFolders(value)];
    }),
  );
}
