import type { FitAttributes, GpuJsVariant, GridAttributes, TensorSpec } from '@calibrant/core';
import { correctQuotient, roundedQuotient } from './quotients.js';
import type { GpuJsVariantWithFunctions } from './runner.js';

/**
 * What a gpu.js function sees as `this`. The functions below are translated to WGSL from their source text: only numbers, `Math`,
 * their own arguments and the functions of their variant exist in them. All numbers are f32.
 */
interface Thread {
  readonly thread: { readonly x: number; readonly y: number };
}
type Matrix = number[][];

const columnsOf = (spec: TensorSpec | undefined): number => spec?.shape[1] ?? 0;

function fitScale(this: Thread, w: Matrix, columns: number, groupSize: number, levels: number, symmetric: number): number {
  let low = 0;
  let high = 0;
  const start = this.thread.x * groupSize;
  const end = Math.min(columns, start + groupSize);
  for (let c = start; c < end; c += 1) {
    low = Math.min(low, w[this.thread.y][c]);
    high = Math.max(high, w[this.thread.y][c]);
  }
  if (symmetric > 0.5) {
    high = Math.max(-low, high);
    low = -high;
  }
  if (high > low) {
    return correctQuotient(high - low, levels);
  }
  return 1;
}

function fitZeroPoint(this: Thread, w: Matrix, columns: number, groupSize: number, levels: number, symmetric: number): number {
  if (symmetric > 0.5) {
    return (levels + 1) * 0.5;
  }
  let low = 0;
  let high = 0;
  const start = this.thread.x * groupSize;
  const end = Math.min(columns, start + groupSize);
  for (let c = start; c < end; c += 1) {
    low = Math.min(low, w[this.thread.y][c]);
    high = Math.max(high, w[this.thread.y][c]);
  }
  if (high > low) {
    return Math.min(levels, roundedQuotient(-low, correctQuotient(high - low, levels)));
  }
  return 0;
}

function roundToGrid(this: Thread, w: Matrix, scales: Matrix, zeroPoints: Matrix, groupSize: number, levels: number): number {
  // Half a column keeps the quotient off whole numbers, which a device may miss by a rounding error.
  const group = Math.floor((this.thread.x + 0.5) / groupSize);
  const rounded = roundedQuotient(w[this.thread.y][this.thread.x], scales[this.thread.y][group]);
  return Math.min(levels, Math.max(0, rounded + zeroPoints[this.thread.y][group]));
}

function roundToIndexedGrid(this: Thread, w: Matrix, scales: Matrix, zeroPoints: Matrix, groupIndex: number[], levels: number): number {
  const group = groupIndex[this.thread.x];
  const rounded = roundedQuotient(w[this.thread.y][this.thread.x], scales[this.thread.y][group]);
  return Math.min(levels, Math.max(0, rounded + zeroPoints[this.thread.y][group]));
}

function dequantize(this: Thread, codes: Matrix, scales: Matrix, zeroPoints: Matrix, groupSize: number): number {
  const group = Math.floor((this.thread.x + 0.5) / groupSize);
  return scales[this.thread.y][group] * (codes[this.thread.y][this.thread.x] - zeroPoints[this.thread.y][group]);
}

function dequantizeIndexed(this: Thread, codes: Matrix, scales: Matrix, zeroPoints: Matrix, groupIndex: number[]): number {
  const group = groupIndex[this.thread.x];
  return scales[this.thread.y][group] * (codes[this.thread.y][this.thread.x] - zeroPoints[this.thread.y][group]);
}

/** core.fitAffine: one invocation per group. */
export const fitAffine: GpuJsVariantWithFunctions<'w', 'scales' | 'zeroPoints', FitAttributes> = {
  scalars: ({ w }, { bits, groupSize, symmetric }) => [columnsOf(w), groupSize, 2 ** bits - 1, symmetric ? 1 : 0],
  outputs: () => ({ scales: fitScale, zeroPoints: fitZeroPoint }),
  functions: [correctQuotient, roundedQuotient],
};

/** core.roundAffine: one invocation per weight. */
export const roundAffine: GpuJsVariantWithFunctions<'w' | 'scales' | 'zeroPoints' | 'groupIndex', 'codes', GridAttributes> = {
  scalars: ({ groupIndex }, { bits, groupSize }) => (groupIndex ? [2 ** bits - 1] : [groupSize, 2 ** bits - 1]),
  outputs: ({ groupIndex }) => ({ codes: groupIndex ? roundToIndexedGrid : roundToGrid }),
  functions: [roundedQuotient],
};

/** core.dequantizeAffine: one invocation per weight. */
export const dequantizeAffine: GpuJsVariant<'codes' | 'scales' | 'zeroPoints' | 'groupIndex', 'w', { readonly groupSize: number }> = {
  scalars: ({ groupIndex }, { groupSize }) => (groupIndex ? [] : [groupSize]),
  outputs: ({ groupIndex }) => ({ w: groupIndex ? dequantizeIndexed : dequantize }),
};
