import { importanceGaps } from '@calibrant/calibrators';
import type { ImportanceMatrix, RunOptions } from '@calibrant/core';

/** Passes on what the text of a matrix never reached, with its numbers. */
export function warnOfGaps(matrix: ImportanceMatrix, { onEvent }: RunOptions): void {
  for (const warning of importanceGaps(matrix)) onEvent?.({ warning, item: 'importance' });
}
