import { CalibrantError } from '../errors.js';
import { decodeOne, encodeOne } from '../float-codecs.js';
import { defineKernel } from '../kernel.js';
import { tensor } from '../tensor.js';
import { roundHalfEven } from './affine.js';
import { expectDtype, expectShape } from './check.js';

/** The largest finite value of E4M3. */
export const E4M3_MAX = 448;

export interface FakeQuantizeAttributes {
  readonly type: 'int' | 'float';
  readonly bits: number;
  readonly symmetric: boolean;
  /** Channels that share a scale; the row length for one scale per row. */
  readonly groupSize: number;
  /** A scale known beforehand: nothing is measured. With `zeroPoint` where the grid is asymmetric. */
  readonly scale?: number;
  readonly zeroPoint?: number;
  /** Scales that are measured are not below this; 0 if absent. */
  readonly leastScale?: number;
}

/**
 * Minimum and maximum of each row, `[rows, 2]`, the range extended to hold 0. NaN is passed over. The range of a whole tensor is that of these.
 */
export const rowRanges = defineKernel<'x', 'ranges', Record<string, never>>({
  name: 'core.rowRanges',
  inputs: { x: { role: 'rows' } },
  outputs: { ranges: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ x }) {
    expectShape('rowRanges', 'x', x, [undefined, undefined]);
    expectDtype('rowRanges', 'x', x, 'f32');
    return { ranges: { dtype: 'f32', shape: [x.shape[0], 2] } };
  },
  reference({ x }) {
    const [rows, columns] = x.shape;
    const ranges = tensor('f32', [rows, 2]);
    for (let r = 0; r < rows; r++) ranges.data.set(rangeOf(x.data as Float32Array, r * columns, (r + 1) * columns) as never, 2 * r);
    return { ranges };
  },
});

/**
 * Rounds values to a grid and gives them back as f32, `y = scale · (code − zeroPoint)`: what a linear layer with quantized inputs, or attention on a
 * quantized cache, computes with. The scale is given, or measured for each group of a row, or (with `ranges` of all rows, see
 * {@link rowRanges}) for the whole tensor:
 *
 * - `int`, symmetric: `scale = absmax / (2^(bits−1) − 1)`, codes `−2^(bits−1) … 2^(bits−1) − 1`. So do the kernels of vLLM and TensorRT-LLM at run
 *   time (127 for 8 bits); scales that compressed-tensors stores are `absmax / 127.5`.
 * - `int`, asymmetric: range extended to hold 0, `scale = (max − min) / (2^bits − 1)`, `zeroPoint = round(−min / scale)`.
 * - `float`: E4M3, `scale = absmax / 448`, saturating.
 *
 * All arithmetic is f32, quotients round half to even; an all-zero group stays zero, NaN stays NaN, and an
 * infinity makes its group NaN, so that it is seen.
 */
export const fakeQuantize = defineKernel<'x' | 'ranges', 'y', FakeQuantizeAttributes>({
  name: 'core.fakeQuantize',
  inputs: { x: { role: 'rows' }, ranges: { role: 'whole', optional: true } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ x, ranges }, { type, bits, groupSize, symmetric }) {
    expectShape('fakeQuantize', 'x', x, [undefined, undefined]);
    expectDtype('fakeQuantize', 'x', x, 'f32');
    if (ranges) {
      expectShape('fakeQuantize', 'ranges', ranges, [undefined, 2]);
      expectDtype('fakeQuantize', 'ranges', ranges, 'f32');
    }
    const fits = type === 'float' ? bits === 8 && symmetric : bits >= 2 && bits <= 8;
    if (!fits || !(groupSize > 0))
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `fakeQuantize: integers have 2 to 8 bits, floats 8 and no zero point, groups at least one channel; found ${type}, ${bits} bits, groups of ${groupSize}.`,
      );
    return { y: x };
  },
  reference({ x, ranges }, attributes) {
    const [rows, columns] = x.shape;
    const { groupSize, scale } = attributes;
    const y = tensor('f32', x.shape);
    const [xv, yv] = [x.data, y.data] as Float32Array[];
    const given = scale !== undefined ? staticStep(attributes) : ranges && stepOf(rangeOf(ranges.data as Float32Array), attributes);
    for (let r = 0; r < rows; r++)
      for (let start = 0; start < columns; start += groupSize) {
        const [from, to] = [r * columns + start, r * columns + Math.min(columns, start + groupSize)];
        const step = given ?? stepOf(rangeOf(xv, from, to), attributes);
        for (let i = from; i < to; i++) yv[i] = rounded(xv[i], step, attributes);
      }
    return { y };
  },
});

interface GridStep {
  readonly scale: number;
  readonly zeroPoint: number;
}

function rangeOf(values: Float32Array, from = 0, to = values.length): [min: number, max: number] {
  let [min, max] = [0, 0];
  for (let i = from; i < to; i++) {
    if (values[i] < min) min = values[i];
    if (values[i] > max) max = values[i];
  }
  return [min, max];
}

function staticStep({ type, bits, symmetric, scale = 1, zeroPoint }: FakeQuantizeAttributes): GridStep {
  return { scale: Math.fround(scale), zeroPoint: type === 'float' || symmetric ? middle(type, bits) : (zeroPoint ?? 0) };
}

/** The zero point of a symmetric grid among codes that begin at 0. */
function middle(type: 'int' | 'float', bits: number): number {
  return type === 'float' ? 0 : 2 ** (bits - 1);
}

function stepOf([min, max]: readonly [number, number], { type, bits, symmetric, leastScale = 0 }: FakeQuantizeAttributes): GridStep {
  const range = symmetric ? Math.max(-min, max) : Math.fround(max - min);
  const levels = type === 'float' ? E4M3_MAX : symmetric ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  const measured = Math.max(Math.fround(range / levels), Math.fround(leastScale));
  const scale = measured > 0 ? measured : 1;
  if (symmetric) return { scale, zeroPoint: middle(type, bits) };
  return { scale, zeroPoint: Math.min(levels, roundHalfEven(Math.fround(-min / scale))) };
}

function rounded(x: number, { scale, zeroPoint }: GridStep, { type, bits }: FakeQuantizeAttributes): number {
  const quotient = Math.fround(x / scale);
  if (type === 'float') return scale * decodeOne('f8_e4m3', encodeOne('f8_e4m3', Math.max(-E4M3_MAX, Math.min(E4M3_MAX, quotient))));
  const code = Math.max(0, Math.min(2 ** bits - 1, roundHalfEven(quotient) + zeroPoint));
  return scale * (code - zeroPoint);
}
