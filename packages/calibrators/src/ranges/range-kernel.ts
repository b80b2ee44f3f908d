import {
  CalibrantError,
  defineKernel,
  expectDtype,
  expectShape,
  type FitAttributes,
  groupsPerRow,
  type Kernel,
  tensor,
  type ValueRange,
} from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

export type RangeKernel<Attributes extends FitAttributes> = Kernel<'w', 'lows' | 'highs', Attributes>;

/**
 * A kernel that chooses the range of each group of each row: `w [rows, columns]` f32 to `lows`, `highs [rows, groups]` f32.
 *
 * @param options.range the definition, for the values of one group
 * @param options.scalars what the WebAssembly function takes behind its pointers, columns and group size
 */
export function rangeKernel<Attributes extends FitAttributes>(
  name: string,
  options: {
    readonly range: (values: Float32Array, attributes: Attributes) => ValueRange;
    readonly scalars: (attributes: Attributes) => readonly number[];
    readonly chunkRows: number;
  },
): RangeKernel<Attributes> {
  return defineKernel<'w', 'lows' | 'highs', Attributes>({
    name: `calibrators.${name}`,
    inputs: { w: { role: 'rows' } },
    outputs: { lows: { role: 'rows' }, highs: { role: 'rows' } },
    chunkRows: () => options.chunkRows,
    infer({ w }, { groupSize }) {
      expectShape(name, 'w', w, [undefined, undefined]);
      expectDtype(name, 'w', w, 'f32');
      if (!(groupSize > 0)) throw new CalibrantError('INVALID_ARGUMENT', `${name}: the group size must be positive, found ${groupSize}.`);
      const shape = [w.shape[0], groupsPerRow(w.shape[1], groupSize)];
      return { lows: { dtype: 'f32', shape }, highs: { dtype: 'f32', shape } };
    },
    reference({ w }, attributes) {
      const [rows, columns] = w.shape;
      const { groupSize } = attributes;
      const groups = groupsPerRow(columns, groupSize);
      const [lows, highs] = [tensor('f32', [rows, groups]), tensor('f32', [rows, groups])];
      for (let r = 0; r < rows; r++)
        for (let g = 0; g < groups; g++) {
          const end = r * columns + Math.min(columns, (g + 1) * groupSize);
          const { low, high } = options.range((w.data as Float32Array).subarray(r * columns + g * groupSize, end), attributes);
          lows.data[r * groups + g] = low;
          highs.data[r * groups + g] = high;
        }
      return { lows, highs };
    },
    wasm: {
      module: wasmModule,
      function: name,
      scalars: ({ w }, attributes) => [w!.shape[1], attributes.groupSize, ...options.scalars(attributes)],
    },
  });
}

/** From the least to the greatest value, 0 included. */
export function wholeRange(values: Float32Array): ValueRange {
  let [low, high] = [0, 0];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, high };
}

/** A symmetric grid spans as much below 0 as above. */
export function forGrid({ low, high }: ValueRange, symmetric: boolean): ValueRange {
  const most = Math.max(-low, high);
  return symmetric ? { low: -most, high: most } : { low, high };
}
