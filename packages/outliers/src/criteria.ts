import { CalibrantError } from '@calibrant/core';
import type { OutlierCriteria } from './report-types.js';

/** The criteria of LLM.int8() (arXiv 2208.07339) and of massive activations (arXiv 2402.17762). */
export const DEFAULT_CRITERIA: OutlierCriteria = {
  threshold: 6,
  layerShare: 0.25,
  positionShare: 0.06,
  massiveValue: 100,
  massiveRatio: 1000,
};

/**
 * The default criteria with some changed.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for a share outside of 0 to 1, and for sizes that are not above 0.
 */
export function outlierCriteria(changes: Partial<OutlierCriteria> = {}): OutlierCriteria {
  const criteria = { ...DEFAULT_CRITERIA, ...changes };
  for (const [name, value] of Object.entries(criteria)) {
    const isShare = name.endsWith('Share');
    if (isShare ? value >= 0 && value <= 1 : value > 0 && Number.isFinite(value)) continue;
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `${name} must be ${isShare ? 'a share from 0 to 1' : 'a number above 0'}, found ${value}.`,
      {
        option: name,
      },
    );
  }
  return criteria;
}
