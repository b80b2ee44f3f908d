import { bySize } from './activations/peaks.js';
import type { MassiveActivation, OutlierReport } from './report-types.js';

/** Massive activations that a report lists. */
const LISTED = 32;

/** Tokens that separate: punctuation and line ends, spaces aside. (Special tokens come as they are written: `<|endoftext|>`, `<s>`.) */
const DELIMITER = /^\s*([\p{P}\p{S}]+|\n\s*|<[^>]*>)\s*$/u;

/** Where massive activations are: in which dimensions, and at which tokens. Give tokens their text before. */
export function massiveFigures(activations: readonly MassiveActivation[]): OutlierReport['massive'] {
  const dimensions = new Map<number, number>();
  const byPosition = { first: 0, delimiter: 0, other: 0 };
  for (const { dimension, position, token } of activations) {
    dimensions.set(dimension, (dimensions.get(dimension) ?? 0) + 1);
    byPosition[position === 0 ? 'first' : token !== undefined && DELIMITER.test(token) ? 'delimiter' : 'other']++;
  }
  return {
    count: activations.length,
    largest: [...activations].sort(bySize).slice(0, LISTED),
    byDimension: [...dimensions]
      .map(([dimension, count]) => ({ dimension, count }))
      .sort((a, b) => b.count - a.count || a.dimension - b.dimension),
    byPosition,
  };
}
