/** First free address: operands are laid out from here on. */
export function heapBase(): usize {
  return __heap_base;
}

export { klDivergence } from './divergence';
export { negativeLogLikelihood } from './likelihood';
export { decodeLogProbabilities, encodeLogProbabilities } from './log-probabilities';
export { tokenScores } from './token-scores';
export { topOverlap } from './top-overlap';
