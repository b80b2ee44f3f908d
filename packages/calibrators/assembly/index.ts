/** First free address: operands are laid out from here on. */
export function heapBase(): usize {
  return __heap_base;
}

export { entropyRanges } from './entropy';
export { inputStatistics } from './inputs';
export { minMaxRanges } from './min-max';
export { mseRanges } from './mse';
export { percentileRanges } from './percentile';
export { sumSquares, weightedError } from './sums';
