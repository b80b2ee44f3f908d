/**
 * GPTQ: rounds the columns of a weight one after the other and lets the columns that are left compensate each error.
 * @module
 */

export { gatherColumns } from './gather-columns.js';
export { gptq } from './gptq.js';
export { arrange, diagonal } from './hessian.js';
export { ACT_ORDERS, type GptqOptions, gptqSchema, type ResolvedGptqOptions } from './options.js';
export { type ColumnPlan, planColumns } from './order.js';
export { quadraticForm } from './quadratic-form.js';
export { type SolveBlockAttributes, type SolveBlockInput, solveBlock } from './solve-block.js';
export { type SolveAttributes, type SolveInput, solveColumns } from './solve-columns.js';
