import { byteLength, DTYPES, type DType, describeSpec, dtypeInfo, elementCount, rows, tensor, view } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';

describe('tensor', () => {
  it('makes zeros of every type, in the array and the bytes that the type has', () => {
    for (const [dtype, { bytes, array }] of Object.entries(DTYPES)) {
      const made = tensor(dtype as DType, [2, 3]);
      expect(made.data).toBeInstanceOf(array);
      expect(made.data.byteLength).toBe(6 * bytes);
      expect(byteLength(made)).toBe(6 * bytes);
    }
    expect(tensor('f32', []).data.length).toBe(1);
    expect(elementCount([3, 0, 2])).toBe(0);
  });

  it('refuses data that does not fit', () => {
    expect(() => tensor('f32', [2], new Float64Array(2))).toThrow(/holds a Float32Array, found a Float64Array/);
    expect(() => tensor('f16', [2], new Float32Array(2))).toThrow(/holds a Uint16Array/);
    expect(() => tensor('f32', [2, 2], new Float32Array(3))).toThrow(/holds 4 elements, the data has 3/);
    for (const size of [-1, 1.5, NaN, Infinity]) expect(() => tensor('f32', [size])).toThrow(/whole numbers/);
    expect(() => dtypeInfo('constructor' as DType)).toThrow(/Unknown element type/);
  });

  it('takes data on shared memory and keeps its own copy of the shape', () => {
    const shape = [2];
    const made = tensor('f32', shape, new Float32Array(new SharedArrayBuffer(8)));
    shape[0] = 7;
    expect(made.shape).toEqual([2]);
    expect(describeSpec(made)).toBe('f32 [2]');
  });
});

describe('views', () => {
  const w = tensor('f32', [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));

  it('are ndarrays over the same data', () => {
    const matrix = view(w);
    expect(matrix.shape).toEqual([2, 3]);
    expect(matrix.get(1, 0)).toBe(4);
    expect(matrix.pick(1).get(2)).toBe(6);
    expect(matrix.transpose(1, 0).get(2, 1)).toBe(6);
    const copy = tensor('f32', [2, 3], w.data.slice() as Float32Array);
    view(copy).set(0, 1, 9);
    expect(copy.data[1]).toBe(9);
  });

  it('of rows share the data too', () => {
    const last = rows(w, 1, 2);
    expect(last.shape).toEqual([1, 3]);
    expect([...last.data]).toEqual([4, 5, 6]);
    expect(last.data.buffer).toBe(w.data.buffer);
    expect(rows(w, 1, 1).data.length).toBe(0);
    for (const [start, end] of [
      [-1, 1],
      [1, 0],
      [0, 3],
      [NaN, 1],
    ])
      expect(() => rows(w, start, end)).toThrow(/outside a tensor of 2 rows/);
  });
});
