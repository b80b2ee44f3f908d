import type { TypedArray } from '../dtype.js';
import { CalibrantError } from '../errors.js';
import { defineKernel } from '../kernel.js';
import { type Tensor, tensor } from '../tensor.js';
import { expectDtype, expectShape } from './check.js';

/** Picks rows of a table: `y[i] = table[ids[i]]` (embedding lookup, reordering). `table` f32 `[rows, width]`, `ids` i32 `[n]`, each in range. */
export const gather = defineKernel<'table' | 'ids', 'y', Record<string, never>>({
  name: 'core.gather',
  inputs: { table: { role: 'whole' }, ids: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 1024,
  infer({ table, ids }) {
    expectShape('gather', 'table', table, [undefined, undefined]);
    expectShape('gather', 'ids', ids, [undefined]);
    expectDtype('gather', 'ids', ids, 'i32');
    return { y: { dtype: table.dtype, shape: [ids.shape[0], table.shape[1]] } };
  },
  reference({ table, ids }) {
    const [count, width] = table.shape;
    const y = tensor(table.dtype, [ids.shape[0], width]);
    (ids.data as Int32Array).forEach((id, i) => {
      if (id < 0 || id >= count) throw new CalibrantError('INVALID_ARGUMENT', `gather: row ${id} is outside a table of ${count} rows.`);
      (y.data as Float32Array).set((table.data as Float32Array).subarray(id * width, (id + 1) * width), i * width);
    });
    return { y };
  },
});

export interface SliceAttributes {
  readonly rowStart: number;
  readonly rowEnd: number;
  readonly columnStart: number;
  readonly columnEnd: number;
}

/** Copies a rectangle of a matrix. */
export const slice = defineKernel<'x', 'y', SliceAttributes>({
  name: 'core.slice',
  inputs: { x: { role: 'whole' } },
  outputs: { y: { role: 'whole' } },
  infer({ x }, { rowStart, rowEnd, columnStart, columnEnd }) {
    expectShape('slice', 'x', x, [undefined, undefined]);
    const inside =
      rowStart >= 0 &&
      rowStart <= rowEnd &&
      rowEnd <= x.shape[0] &&
      columnStart >= 0 &&
      columnStart <= columnEnd &&
      columnEnd <= x.shape[1];
    if (!inside)
      throw new CalibrantError(
        'SHAPE_MISMATCH',
        `slice: rows ${rowStart}–${rowEnd}, columns ${columnStart}–${columnEnd} are outside [${x.shape.join(', ')}].`,
      );
    return { y: { dtype: x.dtype, shape: [rowEnd - rowStart, columnEnd - columnStart] } };
  },
  reference({ x }, { rowStart, rowEnd, columnStart, columnEnd }) {
    const width = x.shape[1];
    const y = tensor(x.dtype, [rowEnd - rowStart, columnEnd - columnStart]);
    for (let r = rowStart; r < rowEnd; r++)
      (y.data as Float32Array).set(
        (x.data as Float32Array).subarray(r * width + columnStart, r * width + columnEnd),
        (r - rowStart) * (columnEnd - columnStart),
      );
    return { y };
  },
});

/** `y [columns, rows]` of `x [rows, columns]`, any dtype. */
export const transpose = defineKernel<'x', 'y', Record<string, never>>({
  name: 'core.transpose',
  inputs: { x: { role: 'whole' } },
  outputs: { y: { role: 'whole' } },
  infer({ x }) {
    expectShape('transpose', 'x', x, [undefined, undefined]);
    return { y: { dtype: x.dtype, shape: [x.shape[1], x.shape[0]] } };
  },
  reference({ x }): { y: Tensor } {
    const [rowCount, columns] = x.shape;
    const y = tensor(x.dtype, [columns, rowCount]);
    const [xv, yv] = [x.data, y.data] as TypedArray[];
    for (let r = 0; r < rowCount; r++)
      for (let c = 0; c < columns; c++) (yv as Float32Array)[c * rowCount + r] = (xv as Float32Array)[r * columns + c];
    return { y };
  },
});
