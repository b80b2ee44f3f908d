/** First free address: operands are laid out from here on. */
export function heapBase(): usize {
  return __heap_base;
}

export { channelStatistics } from './channels';
export { byteCounts, columnBins, magnitudeCounts, valueCounts } from './counts';
export { rowMedians } from './medians';
export { rowPeaks } from './peaks';
export { rowStatistics } from './rows';
export { scaleChannels } from './scale';
