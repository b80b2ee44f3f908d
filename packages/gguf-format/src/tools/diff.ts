import { type Backend, elementCount, type RunOptions, throwIfAborted, toF32 } from '@calibrant/core';
import { findBlockTypeById } from '../blocks/block-types.js';
import { readRows } from '../checkpoint/read-rows.js';
import type { GgufModel, GgufModelTensor } from '../file/read-model.js';
import { diffMetadata, type MetadataDifference } from './diff-metadata.js';

/** How far two tensors are from each other after decoding. */
export interface ValueDifference {
  readonly max: number;
  /** Root of the mean square, and that divided by the root mean square of the first tensor. Summed in f64. */
  readonly rms: number;
  readonly relativeRms: number;
  /** Elements where one is NaN or infinite and the other is not the same. */
  readonly nonFinite: number;
}

export type TensorDifference =
  | { readonly name: string; readonly kind: 'only-in-a' | 'only-in-b'; readonly type: string; readonly shape: readonly number[] }
  | { readonly name: string; readonly kind: 'shape'; readonly a: readonly number[]; readonly b: readonly number[] }
  | {
      readonly name: string;
      readonly kind: 'values';
      readonly a: string;
      readonly b: string;
      /** Absent when one of the types cannot be decoded here. */
      readonly difference?: ValueDifference;
    };

export interface GgufDifference {
  readonly equal: boolean;
  readonly metadata: readonly MetadataDifference[];
  readonly tensors: readonly TensorDifference[];
  /** Tensors of the same type, shape and bytes. */
  readonly equalTensors: number;
}

/** Bytes that are compared, and elements that are decoded, at a time. */
const CHUNK = 4 * 2 ** 20;
const ELEMENTS = 2 ** 20;

/** Compares two models: every key, and every tensor by its bytes, then by its decoded values. Where tensors lie in files makes no difference. */
export async function diffGguf(
  a: GgufModel,
  b: GgufModel,
  { backend, onEvent, signal }: { readonly backend: Backend } & RunOptions,
): Promise<GgufDifference> {
  const tensors: TensorDifference[] = [];
  const total = [...a.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  let equalTensors = 0;
  for (const [name, first] of a.tensors) {
    throwIfAborted(signal);
    const second = b.tensors.get(name);
    if (!second) tensors.push({ name, kind: 'only-in-a', type: first.type.name, shape: first.shape });
    else if (first.shape.join() !== second.shape.join()) tensors.push({ name, kind: 'shape', a: first.shape, b: second.shape });
    else if (await sameBytes(first, second, signal)) equalTensors++;
    else
      tensors.push({
        name,
        kind: 'values',
        a: first.type.name,
        b: second.type.name,
        ...(await compareValues(first, second, backend, signal)),
      });
    done += first.bytes;
    onEvent?.({ phase: 'Comparing', done, total, unit: 'bytes', item: name });
  }
  for (const { name, type, shape } of b.tensors.values())
    if (!a.tensors.has(name)) tensors.push({ name, kind: 'only-in-b', type: type.name, shape });
  const metadata = diffMetadata(a.metadata, b.metadata);
  return { equal: metadata.length === 0 && tensors.length === 0, metadata, tensors, equalTensors };
}

async function sameBytes(a: GgufModelTensor, b: GgufModelTensor, signal: AbortSignal | undefined): Promise<boolean> {
  if (a.type.id !== b.type.id) return false;
  for (let start = 0; start < a.bytes; start += CHUNK) {
    throwIfAborted(signal);
    const length = Math.min(CHUNK, a.bytes - start);
    const [x, y] = await Promise.all([a.source.read(a.offset + start, length), b.source.read(b.offset + start, length)]);
    for (let i = 0; i < length; i++) if (x[i] !== y[i]) return false;
  }
  return true;
}

async function compareValues(
  a: GgufModelTensor,
  b: GgufModelTensor,
  backend: Backend,
  signal: AbortSignal | undefined,
): Promise<{ difference?: ValueDifference }> {
  if (!findBlockTypeById(a.type.id) || !findBlockTypeById(b.type.id)) return {};
  const columns = a.shape.at(-1) ?? 1;
  const rows = elementCount(a.shape) / columns;
  const [first, second] = [a, b].map((tensor) => ({ ...tensor, shape: [rows, columns] }));
  const step = Math.max(1, Math.floor(ELEMENTS / columns));
  const sums = { max: 0, squares: 0, reference: 0, nonFinite: 0 };
  for (let start = 0; start < rows; start += step) {
    throwIfAborted(signal);
    const range = { start, end: Math.min(rows, start + step) };
    const [x, y] = await Promise.all([readRows(a.source, backend, first, range), readRows(b.source, backend, second, range)]);
    addDifferences(toF32(x), toF32(y), sums);
  }
  const { max, squares, reference, nonFinite } = sums;
  const rms = Math.sqrt(squares / (rows * columns));
  return { difference: { max, rms, relativeRms: squares === 0 ? 0 : Math.sqrt(squares / reference), nonFinite } };
}

function addDifferences(
  x: Float32Array,
  y: Float32Array,
  sums: { max: number; squares: number; reference: number; nonFinite: number },
): void {
  let { max, squares, reference, nonFinite } = sums;
  for (let i = 0; i < x.length; i++) {
    if (Object.is(x[i], y[i])) {
      if (Number.isFinite(x[i])) reference += x[i] * x[i];
      continue;
    }
    const difference = Math.abs(x[i] - y[i]);
    if (!Number.isFinite(difference)) nonFinite++;
    else {
      if (difference > max) max = difference;
      squares += difference * difference;
      reference += x[i] * x[i];
    }
  }
  Object.assign(sums, { max, squares, reference, nonFinite });
}
