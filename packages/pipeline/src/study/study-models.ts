import path from 'node:path';
import { CalibrantError } from '@calibrant/core';
import { type InjectionOptions, injectOutliers } from '../outliers/inject.js';
import { referenceName } from '../reference-name.js';

/** Outlier channels that a twin of each model gets, see `injectOutliers`. */
export type OutlierTwin = Required<Pick<InjectionOptions, 'channels' | 'factor'>>;

export interface StudyModel {
  readonly name: string;
  /** What opens it. */
  readonly reference: string;
  /** The twin is written when its first run is due. */
  prepare?(): Promise<unknown>;
}

/** The models of a study: each one, followed by its twin with outliers where that is asked for. */
export function studyModels(
  references: readonly string[],
  twin: OutlierTwin | undefined,
  scratch: string,
  run: Pick<InjectionOptions, 'registry' | 'backend' | 'signal'>,
): StudyModel[] {
  return references.flatMap((reference, index) => {
    const model = { name: referenceName(reference), reference };
    if (!twin) return [model];
    const out = path.join(scratch, `twin-${index}`);
    let made: Promise<unknown> | undefined;
    const prepare = () => {
      made ??= injectOutliers({ model: reference, out, ...twin, ...run });
      return made;
    };
    return [model, { name: `${model.name} with outliers`, reference: out, prepare }];
  });
}

/** Results are told apart by names, not by folders. @throws CalibrantError `INVALID_ARGUMENT` */
export function expectOwnNames(names: readonly string[], what: string): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new CalibrantError('INVALID_ARGUMENT', `Two of the ${what} are called "${twice}". Rename one of them.`, { option: what });
}
