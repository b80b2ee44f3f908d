export { gatherColumns } from './gather-columns';
export { arrange, diagonal } from './hessian';
export { quadraticForm } from './quadratic-form';
export { solveBlock } from './solve-block';
export { solveColumns } from './solve-columns';

/** First free address: operands are laid out from here on. */
export function heapBase(): usize {
  return __heap_base;
}
