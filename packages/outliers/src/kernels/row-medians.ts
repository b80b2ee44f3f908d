import { CalibrantError, defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/** What the scratch memory of the WebAssembly variant holds. */
const MAX_COLUMNS = 2 ** 17;

/** The median of |x| of each row of `x [rows, columns]` f32, exact; of an even number the mean of the two middle values. At most 2^17 columns. */
export const rowMedians = defineKernel<'x', 'medians', Record<string, never>>({
  name: 'outliers.rowMedians',
  inputs: { x: { role: 'rows' } },
  outputs: { medians: { role: 'rows' } },
  chunkRows: ({ x }) => Math.max(1, Math.floor(262144 / (x.shape[1] || 1))),
  infer({ x }) {
    expectShape('rowMedians', 'x', x, [undefined, undefined]);
    expectDtype('rowMedians', 'x', x, 'f32');
    if (x.shape[1] > MAX_COLUMNS)
      throw new CalibrantError('UNSUPPORTED', `rowMedians: rows of at most ${MAX_COLUMNS} values, found ${x.shape[1]}.`);
    return { medians: { dtype: 'f32', shape: [x.shape[0]] } };
  },
  reference({ x }) {
    const [count, columns] = x.shape;
    const medians = new Float32Array(count);
    for (let r = 0; r < count; r++) {
      const sizes = (x.data as Float32Array)
        .slice(r * columns, (r + 1) * columns)
        .map(Math.abs)
        .sort();
      const upper = sizes[columns >> 1];
      const middle = columns % 2 === 1 ? upper : Math.fround(upper + sizes[(columns >> 1) - 1]) / 2;
      medians[r] = columns > 0 ? middle : 0;
    }
    return { medians: tensor('f32', [count], medians) };
  },
  wasm: { module: wasmModule, function: 'rowMedians', scalars: ({ x }) => [x?.shape[1] ?? 0] },
});
