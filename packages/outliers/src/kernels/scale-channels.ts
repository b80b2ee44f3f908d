import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/**
 * `y = (x + offset) · rowFactors[row] · columnFactors[column] − offset` on `x [rows, columns]` f32, with f64 factors (1 where absent): computed in f64,
 * rounded to f32 once.
 */
export const scaleChannels = defineKernel<'x' | 'rowFactors' | 'columnFactors', 'y', { readonly offset: number }>({
  name: 'outliers.scaleChannels',
  inputs: { x: { role: 'rows' }, rowFactors: { role: 'rows', optional: true }, columnFactors: { role: 'whole', optional: true } },
  outputs: { y: { role: 'rows' } },
  chunkRows: ({ x }) => Math.max(1, Math.floor(262144 / (x.shape[1] || 1))),
  infer({ x, rowFactors, columnFactors }) {
    expectShape('scaleChannels', 'x', x, [undefined, undefined]);
    expectDtype('scaleChannels', 'x', x, 'f32');
    for (const [name, factors, size] of [
      ['rowFactors', rowFactors, x.shape[0]],
      ['columnFactors', columnFactors, x.shape[1]],
    ] as const) {
      if (!factors) continue;
      expectShape('scaleChannels', name, factors, [size]);
      expectDtype('scaleChannels', name, factors, 'f64');
    }
    return { y: x };
  },
  reference({ x, rowFactors, columnFactors }, { offset }) {
    const [rows, columns] = x.shape;
    const y = tensor('f32', x.shape);
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const value = ((x.data[r * columns + c] as number) + offset) * ((rowFactors?.data[r] as number | undefined) ?? 1);
        y.data[r * columns + c] = value * ((columnFactors?.data[c] as number | undefined) ?? 1) - offset;
      }
    return { y };
  },
  wasm: { module: wasmModule, function: 'scaleChannels', scalars: ({ x }, { offset }) => [x?.shape[1] ?? 0, offset] },
});
