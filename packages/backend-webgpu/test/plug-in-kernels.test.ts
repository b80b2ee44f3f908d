import { createWebgpuBackend, type WebgpuBackend } from '@calibrant/backend-webgpu';
import { add, CalibrantError, defineKernel, type TensorSpec, tensor } from '@calibrant/core';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeWithAdapter } from './adapter.js';

/** Reverses bytes; the reference gives zeros, so that a result shows which variant ran. */
const reverse = defineKernel<'x' | 'offset', 'y', Record<string, never>>({
  name: 'test.reverse',
  inputs: { x: { role: 'whole' }, offset: { role: 'whole', optional: true } },
  outputs: { y: { role: 'whole' } },
  infer: ({ x }) => ({ y: x }),
  reference: ({ x }) => ({ y: tensor(x.dtype, x.shape) }),
  gpujs: {
    scalars: ({ x }) => [(x as TensorSpec).shape[1]],
    outputs: ({ offset }) => ({
      y: offset
        ? function (this: { thread: { x: number; y: number } }, x: number[][], offset: number[], columns: number) {
            return x[this.thread.y][columns - 1 - this.thread.x] + offset[this.thread.x];
          }
        : function (this: { thread: { x: number; y: number } }, x: number[][], columns: number) {
            return x[this.thread.y][columns - 1 - this.thread.x];
          },
    }),
  },
});

const square = (wgsl: string) =>
  defineKernel<'x', 'y', { readonly factor: number }>({
    name: 'test.square',
    inputs: { x: { role: 'rows' } },
    outputs: { y: { role: 'rows' } },
    infer: ({ x }) => ({ y: x }),
    reference: ({ x }) => ({ y: tensor('f32', x.shape) }),
    wgsl: {
      code: () => wgsl,
      workgroups: ({ x }) => [(x as TensorSpec).shape[0], 1, 1],
      uniforms: (_, { factor }) => new Float32Array([factor, 0, 0, 0]).buffer,
    },
  });

const SQUARE = `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> factor: vec4f;
@compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = factor.x * x[id.x] * x[id.x]; }`;

describeWithAdapter('plug-in-kernels.test.ts', "a plug-in's own kernels", () => {
  let backend: WebgpuBackend;
  beforeAll(async () => {
    backend = await createWebgpuBackend();
  });
  afterAll(() => backend.close());

  it('run by their WGSL, with uniforms', async () => {
    const kernel = square(SQUARE);
    const x = await backend.upload(tensor('f32', [3], Float32Array.of(1, 2, 3)));
    expect(backend.variant(kernel as never)).toBe('wgsl');
    expect([...(await backend.download(backend.run(kernel, { x }, { factor: 10 }).y)).data]).toEqual([10, 40, 90]);
  });

  it.each(['u8', 'i8', 'u16', 'i16', 'i32', 'u32', 'f32'] as const)('run by gpu.js on %s, in sizes that change', async (dtype) => {
    for (const [rows, columns] of [
      [1, 5],
      [3, 3],
      [2, 1],
    ]) {
      const sign = dtype.startsWith('u') ? 1 : -1;
      const x = tensor(dtype, [rows, columns]);
      for (let i = 0; i < rows * columns; i++) x.data[i] = i % 2 ? 100 - i : sign * (i + 1);
      const y = await backend.download(backend.run(reverse, { x: await backend.upload(x) }, {}).y);
      const expected = Array.from({ length: rows }, (_, r) => [...(x.data as Int32Array).slice(r * columns, (r + 1) * columns)].reverse());
      expect([...y.data]).toEqual(expected.flat());
    }
  });

  it('see optional inputs when these are given', async () => {
    const x = await backend.upload(tensor('u8', [2, 2], Uint8Array.of(1, 2, 3, 4)));
    const offset = await backend.upload(tensor('i32', [2], Int32Array.of(10, 20)));
    expect([...(await backend.download(backend.run(reverse, { x, offset }, {}).y)).data]).toEqual([12, 21, 14, 23]);
  });

  it('run by their reference on types that gpu.js cannot hold', async () => {
    const x = await backend.upload(tensor('f64', [1, 2], Float64Array.of(1, 2)));
    expect([...(await backend.download(backend.run(reverse, { x }, {}).y)).data]).toEqual([0, 0]);
  });

  it('that do not compile poison their outputs with the message of the compiler', async () => {
    const x = await backend.upload(tensor('f32', [3], Float32Array.of(1, 2, 3)));
    for (const [wgsl, message] of [
      [SQUARE.replace('id.x] * x', 'id.x] * unknown'), /test\.square failed .*unknown/s],
      [SQUARE.replace('@binding(2)', '@binding(7)'), /test\.square failed .*binding/s],
    ] as const) {
      const { y } = backend.run(square(wgsl), { x }, { factor: 1 });
      const { y: derived } = backend.run(add, { a: y, b: x }, {});
      for (const handle of [y, derived]) {
        const error = await backend.download(handle).catch((thrown: unknown) => thrown);
        expect(CalibrantError.isInstance(error) && error.message).toMatch(message);
      }
      await expect(backend.sync()).rejects.toThrow(message);
      await backend.sync();
      expect([...(await backend.download(backend.run(add, { a: x, b: x }, {}).y)).data]).toEqual([2, 4, 6]);
    }
  });
});
