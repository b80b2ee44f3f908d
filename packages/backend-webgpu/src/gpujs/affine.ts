import type { FitAttributes, GpuJsVariant, GridAttributes, TensorSpec } from '@calibrant/core';

/**
 * What a gpu.js function sees as `this`. The functions below are translated to WGSL from their source text: only numbers, `Math` and
 * their own arguments exist in them. All numbers are f32.
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
  const scale = (high - low) / levels;
  if (scale > 0) {
    return scale;
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
  const scale = (high - low) / levels;
  if (scale > 0) {
    const quotient = -low / scale;
    const floor = Math.floor(quotient);
    const rest = quotient - floor;
    let rounded = floor;
    if (rest > 0.5 || (rest === 0.5 && Math.floor(floor * 0.5) * 2 !== floor)) {
      rounded = floor + 1;
    }
    return Math.min(levels, rounded);
  }
  return 0;
}

function roundToGrid(this: Thread, w: Matrix, scales: Matrix, zeroPoints: Matrix, groupSize: number, levels: number): number {
  // Half a column keeps the quotient off whole numbers, which a device may miss by a rounding error.
  const group = Math.floor((this.thread.x + 0.5) / groupSize);
  const quotient = w[this.thread.y][this.thread.x] / scales[this.thread.y][group];
  const floor = Math.floor(quotient);
  const rest = quotient - floor;
  let rounded = floor;
  if (rest > 0.5 || (rest === 0.5 && Math.floor(floor * 0.5) * 2 !== floor)) {
    rounded = floor + 1;
  }
  return Math.min(levels, Math.max(0, rounded + zeroPoints[this.thread.y][group]));
}

function roundToIndexedGrid(this: Thread, w: Matrix, scales: Matrix, zeroPoints: Matrix, groupIndex: number[], levels: number): number {
  const group = groupIndex[this.thread.x];
  const quotient = w[this.thread.y][this.thread.x] / scales[this.thread.y][group];
  const floor = Math.floor(quotient);
  const rest = quotient - floor;
  let rounded = floor;
  if (rest > 0.5 || (rest === 0.5 && Math.floor(floor * 0.5) * 2 !== floor)) {
    rounded = floor + 1;
  }
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

/** core.fitAffine: one invocation per group. Two divisions in device precision (2.5 ulp) instead of correctly rounded ones. */
export const fitAffine: GpuJsVariant<'w', 'scales' | 'zeroPoints', FitAttributes> = {
  scalars: ({ w }, { bits, groupSize, symmetric }) => [columnsOf(w), groupSize, 2 ** bits - 1, symmetric ? 1 : 0],
  outputs: () => ({ scales: fitScale, zeroPoints: fitZeroPoint }),
};

/** core.roundAffine: one invocation per weight. */
export const roundAffine: GpuJsVariant<'w' | 'scales' | 'zeroPoints' | 'groupIndex', 'codes', GridAttributes> = {
  scalars: ({ groupIndex }, { bits, groupSize }) => (groupIndex ? [2 ** bits - 1] : [groupSize, 2 ** bits - 1]),
  outputs: ({ groupIndex }) => ({ codes: groupIndex ? roundToIndexedGrid : roundToGrid }),
};

/** core.dequantizeAffine: one invocation per weight. */
export const dequantizeAffine: GpuJsVariant<'codes' | 'scales' | 'zeroPoints' | 'groupIndex', 'w', { readonly groupSize: number }> = {
  scalars: ({ groupIndex }, { groupSize }) => (groupIndex ? [] : [groupSize]),
  outputs: ({ groupIndex }) => ({ w: groupIndex ? dequantizeIndexed : dequantize }),
};
