import {
  add,
  type Backend,
  type BufferHandle,
  CalibrantError,
  defineKernel,
  fitAffine,
  gather,
  inverseCholesky,
  linear,
  matmul,
  rmsNorm,
  type Tensor,
  tensor,
  transpose,
} from '@calibrant/core';
import { integers, normal } from './backend-case.js';
import type { BackendFactory } from './test-backend.js';
import type { TestFramework } from './test-framework.js';

/** A kernel that no backend knows: rows are doubled by its reference. */
const double = defineKernel<'x', 'y', { readonly factor: number }>({
  name: 'conformance.double',
  inputs: { x: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 2,
  infer: ({ x }) => ({ y: x }),
  reference: ({ x }, { factor }) => ({
    y: tensor(
      'f32',
      x.shape,
      (x.data as Float32Array).map((value) => factor * value),
    ),
  }),
});

/** Rules of the backend contract that are about more than one operation. */
export function contractTests(
  createBackend: BackendFactory,
  { expect }: TestFramework,
  test: (name: string, body: () => void | Promise<void>) => void,
): void {
  const withBackend = (name: string, body: (backend: Backend) => Promise<void>, lanes = 2) =>
    test(name, async () => {
      const backend = await createBackend({ lanes });
      try {
        await body(backend);
      } finally {
        await backend.close();
      }
    });
  const values = async (backend: Backend, handle: BufferHandle) => [...((await backend.download(handle)).data as Float32Array)];
  const failure = async (work: () => unknown): Promise<unknown> => {
    try {
      await work();
    } catch (error) {
      return error;
    }
    return undefined;
  };
  const small = tensor('f32', [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));

  withBackend('an uploaded tensor comes back as it was, also after the caller changed its own', async (backend) => {
    for (const lane of [undefined, 0]) {
      const mine = tensor('f32', [2, 3], Float32Array.from(small.data as Float32Array));
      const handle = await backend.upload(mine, { lane });
      mine.data[0] = 99;
      const first = await backend.download(handle);
      first.data[1] = 77;
      expect(await values(backend, handle)).toEqual([1, 2, 3, 4, 5, 6]);
      expect([handle.dtype, [...handle.shape], handle.lane, handle.backend]).toEqual(['f32', [2, 3], lane, backend.name]);
    }
  });

  withBackend('outputs live where the inputs do', async (backend) => {
    const lane = backend.lanes - 1;
    const [there, everywhere] = [await backend.upload(small, { lane }), await backend.upload(small)];
    expect(backend.run(add, { a: there, b: everywhere }, {}).y.lane).toBe(lane);
    expect(backend.run(add, { a: everywhere, b: everywhere }, {}).y.lane).toBe(undefined);
    expect(await values(backend, backend.run(add, { a: there, b: everywhere }, {}).y)).toEqual([2, 4, 6, 8, 10, 12]);
  });

  withBackend('a shared copy of a lane buffer can be read by every lane', async (backend) => {
    const source = await backend.upload(small, { lane: 0 });
    const sum = backend.run(add, { a: source, b: source }, {}).y;
    const shared = backend.share(sum);
    backend.free(source, sum);
    for (let lane = 0; lane < backend.lanes; lane++) {
      const other = await backend.upload(small, { lane });
      expect(await values(backend, backend.run(add, { a: shared, b: other }, {}).y)).toEqual([3, 6, 9, 12, 15, 18]);
    }
    const again = backend.share(shared);
    backend.free(shared);
    expect(await values(backend, again)).toEqual([2, 4, 6, 8, 10, 12]);
  });

  withBackend('inputs from two lanes are an error', async (backend) => {
    if (backend.lanes < 2) return;
    const [a, b] = [await backend.upload(small, { lane: 0 }), await backend.upload(small, { lane: 1 })];
    const error = await failure(() => backend.run(add, { a, b }, {}));
    expect(CalibrantError.isInstance(error) && error.code).toBe('INVALID_ARGUMENT');
  });

  withBackend('a lane that does not exist is an error', async (backend) => {
    const error = await failure(() => backend.upload(small, { lane: backend.lanes }));
    expect(CalibrantError.isInstance(error) && error.code).toBe('INVALID_ARGUMENT');
  });

  withBackend('shapes that do not fit, missing and unknown inputs throw at once', async (backend) => {
    const a = await backend.upload(small);
    const f16 = await backend.upload(tensor('f16', [3, 2]));
    for (const [inputs, code] of [
      [{ a, b: a }, 'SHAPE_MISMATCH'],
      [{ a }, 'INVALID_ARGUMENT'],
      [{ a, b: a, d: a }, 'INVALID_ARGUMENT'],
      [{ a, b: f16 }, 'SHAPE_MISMATCH'],
    ] as const) {
      let error: unknown;
      try {
        backend.run(matmul, inputs as never, {});
      } catch (thrown) {
        error = thrown;
      }
      expect(CalibrantError.isInstance(error) && error.code).toBe(code);
    }
    await backend.sync();
  });

  withBackend('a freed buffer cannot be used, and work queued before on it is done', async (backend) => {
    for (const lane of [undefined, 0]) {
      const a = await backend.upload(small, { lane });
      const { y } = backend.run(add, { a, b: a }, {});
      backend.free(a, undefined);
      expect(CalibrantError.isInstance(await failure(() => backend.download(backend.run(add, { a, b: a }, {}).y)))).toBe(true);
      expect(CalibrantError.isInstance(await failure(() => backend.download(a)))).toBe(true);
      expect(await values(backend, y)).toEqual([2, 4, 6, 8, 10, 12]);
      await failure(() => backend.sync());
    }
  });

  withBackend('a failed operation poisons its outputs and what is computed from them', async (backend) => {
    for (const lane of [undefined, 0]) {
      const table = await backend.upload(small, { lane });
      const good = await backend.upload(tensor('i32', [1], Int32Array.of(1)), { lane });
      const bad = await backend.upload(tensor('i32', [1], Int32Array.of(5)), { lane });
      const poisoned = backend.run(gather, { table, ids: bad }, {}).y;
      const derived = backend.run(add, { a: poisoned, b: poisoned }, {}).y;
      const shared = backend.share(derived);
      for (const handle of [poisoned, derived, shared]) {
        const error = await failure(() => backend.download(handle));
        expect(CalibrantError.isInstance(error) && error.code).toBe('INVALID_ARGUMENT');
      }
      const error = await failure(() => backend.sync());
      expect(CalibrantError.isInstance(error) && error.code).toBe('INVALID_ARGUMENT');
      await backend.sync();
      expect(await values(backend, backend.run(gather, { table, ids: good }, {}).y)).toEqual([4, 5, 6]);
    }
  });

  withBackend('a long chain of queued operations gives what they give one by one', async (backend) => {
    for (const lane of [undefined, 0]) {
      const one = await backend.upload(tensor('f32', [300, 2], new Float32Array(600).fill(1)), { lane });
      let sum = one;
      for (let i = 0; i < 100; i++) {
        const next = backend.run(add, { a: sum, b: one }, {}).y;
        if (sum !== one) backend.free(sum);
        sum = next;
      }
      await backend.sync();
      expect((await values(backend, sum)).every((value) => value === 101)).toBe(true);
    }
  });

  withBackend('buffers go back and forth between shared and lanes in the order of the calls', async (backend) => {
    let shared = await backend.upload(tensor('f32', [4, 4], new Float32Array(16).fill(1)));
    for (let i = 0; i < 12; i++) {
      const local = await backend.upload(tensor('f32', [4, 4], new Float32Array(16).fill(i)), { lane: i % backend.lanes });
      const sum = backend.run(add, { a: shared, b: local }, {}).y;
      shared = backend.run(transpose, { x: backend.share(sum) }, {}).y;
    }
    expect(await values(backend, shared)).toEqual(new Array(16).fill(67));
  });

  withBackend('a kernel that the backend has never seen runs by one of its variants', async (backend) => {
    expect(['wasm', 'wgsl', 'gpujs', 'reference', 'native']).toContain(backend.variant(double as never));
    for (const lane of [undefined, 0]) {
      const x = await backend.upload(tensor('f32', [5, 1], Float32Array.of(1, 2, 3, 4, 5)), { lane });
      const twice = backend.run(double, { x }, { factor: 2 }).y;
      const sum = backend.run(add, { a: twice, b: x }, {}).y;
      expect(await values(backend, sum)).toEqual([3, 6, 9, 12, 15]);
    }
  });

  withBackend('inputs stay as they were', async (backend) => {
    for (const lane of [undefined, 0]) {
      const x = normal([9, 16], 70);
      const handle = await backend.upload(x, { lane });
      const weight = await backend.upload(normal([16], 71), { lane });
      const h = await backend.upload(tensor('f32', [2, 2], Float32Array.of(2, 1, 1, 2)), { lane });
      backend.run(rmsNorm, { x: handle, weight }, { eps: 1e-6 });
      backend.run(fitAffine, { w: handle }, { bits: 4, groupSize: 8, symmetric: false });
      backend.run(inverseCholesky, { h }, { damp: 0 });
      expect(await values(backend, handle)).toEqual([...(x.data as Float32Array)]);
      expect(await values(backend, h)).toEqual([2, 1, 1, 2]);
    }
  });

  withBackend('freeing everything brings allocatedBytes back to 0', async (backend) => {
    const a = await backend.upload(small);
    const b = await backend.upload(small, { lane: 0 });
    const { y } = backend.run(add, { a, b }, {});
    const shared = backend.share(y);
    await backend.sync();
    expect(backend.allocatedBytes()).toBeGreaterThanOrEqual(3 * 24);
    backend.free(a, b, y, shared);
    await backend.sync();
    expect(backend.allocatedBytes()).toBe(0);
  });

  test('the same calls give the same bytes for 1, 2 and 3 lanes', async () => {
    const results: Uint8Array[][] = [];
    for (const lanes of [1, 2, 3]) {
      const backend = await createBackend({ lanes });
      results.push(await splitWork(backend));
      await backend.close();
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });
}

/** Work whose rows are dealt to lanes. */
async function splitWork(backend: Backend): Promise<Uint8Array[]> {
  const x = await backend.upload(normal([1300, 33], 80));
  const w = await backend.upload(normal([21, 33], 81));
  const ids = await backend.upload(integers('i32', [2100], 82, 1300));
  const y = backend.run(linear, { x, w }, {}).y;
  const picked = backend.run(gather, { table: y, ids }, {}).y;
  const normed = backend.run(rmsNorm, { x: picked, weight: await backend.upload(normal([21], 83)) }, { eps: 1e-5 }).y;
  const grid = backend.run(fitAffine, { w: normed }, { bits: 4, groupSize: 7, symmetric: false });
  const results: Tensor[] = [];
  for (const handle of [y, normed, grid.scales, grid.zeroPoints]) results.push(await backend.download(handle));
  return results.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice());
}
