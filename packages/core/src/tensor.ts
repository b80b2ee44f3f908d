import ndarray, { type Data, type NdArray } from 'ndarray';
import { type DType, dtypeInfo, type TypedArray } from './dtype.js';
import { CalibrantError } from './errors.js';

/** The type and shape of a tensor, without its data. Shapes of weights are `[out, in]`, row-major. */
export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/**
 * A dense row-major tensor over a typed array. f16, bf16 and fp8 hold their bit patterns (Uint16Array, Uint8Array);
 * {@link toF32} decodes them. The data may lie on a SharedArrayBuffer.
 */
export interface Tensor extends TensorSpec {
  readonly data: TypedArray;
}

/** The number of elements of a shape; 1 for the empty shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The number of bytes that a tensor of this type and shape takes. */
export function byteLength(spec: TensorSpec): number {
  return elementCount(spec.shape) * dtypeInfo(spec.dtype).bytes;
}

/**
 * Makes a tensor and checks that data, type and shape agree.
 *
 * @throws CalibrantError `SHAPE_MISMATCH` when they do not.
 * @example
 * const w = tensor('f32', [2, 3], new Float32Array([1, 2, 3, 4, 5, 6]));
 * view(w).get(1, 0); // 4
 */
export function tensor(dtype: DType, shape: readonly number[], data?: TypedArray): Tensor {
  const info = dtypeInfo(dtype);
  if (shape.some((size) => !Number.isSafeInteger(size) || size < 0))
    throw new CalibrantError('SHAPE_MISMATCH', `A shape must hold whole numbers ≥ 0, found [${shape.join(', ')}].`);
  const count = elementCount(shape);
  const values = data ?? new info.array(count);
  if (!(values instanceof info.array))
    throw new CalibrantError('SHAPE_MISMATCH', `A ${dtype} tensor holds a ${info.array.name}, found a ${values.constructor.name}.`);
  if (values.length !== count)
    throw new CalibrantError('SHAPE_MISMATCH', `Shape [${shape.join(', ')}] holds ${count} elements, the data has ${values.length}.`);
  return { dtype, shape: [...shape], data: values };
}

/** An ndarray view of the tensor's data (not a copy): `view(w).pick(3)` is row 3. */
export function view(value: Tensor): NdArray<Data<number>> {
  return ndarray(value.data as Data<number>, [...value.shape]);
}

/** Rows `[start, end)` along the first axis, without a copy. */
export function rows(value: Tensor, start: number, end: number): Tensor {
  const count = value.shape[0] ?? 0;
  if (!(start >= 0 && start <= end && end <= count))
    throw new CalibrantError('SHAPE_MISMATCH', `Rows ${start} to ${end} are outside a tensor of ${count} rows.`);
  const size = elementCount(value.shape.slice(1));
  return {
    dtype: value.dtype,
    shape: [end - start, ...value.shape.slice(1)],
    data: value.data.subarray(start * size, end * size),
  };
}

/** `f32 [4096, 4096]`, for messages. */
export function describeSpec(spec: TensorSpec): string {
  return `${spec.dtype} [${spec.shape.join(', ')}]`;
}
