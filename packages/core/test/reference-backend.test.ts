import { CalibrantError, createReferenceBackend, defineKernel, scale, splitRows, tensor, withBuffers } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';

const failing = defineKernel<'x', 'y', Record<string, never>>({
  name: 'test.failing',
  inputs: { x: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  infer: ({ x }) => ({ y: x }),
  reference: () => {
    throw new CalibrantError('NUMERICAL', 'It does not converge.');
  },
});

describe('createReferenceBackend', () => {
  it('uploads copies, runs references and downloads copies', async () => {
    const backend = createReferenceBackend();
    const data = Float32Array.of(1, 2);
    const x = await backend.upload(tensor('f32', [1, 2], data));
    data[0] = 100;
    const { y } = backend.run(scale, { x }, { scale: 3 });
    expect(y).toMatchObject({ dtype: 'f32', shape: [1, 2], backend: 'reference' });
    const first = await backend.download(y);
    expect([...first.data]).toEqual([3, 6]);
    first.data[0] = 0;
    expect([...(await backend.download(y)).data]).toEqual([3, 6]);
    expect(backend.allocatedBytes()).toBe(16);
    backend.free(x, undefined, y);
    expect(backend.allocatedBytes()).toBe(0);
    await expect(backend.download(y)).rejects.toThrow(/was freed/);
    await backend.close();
  });

  it('passes a failure on to what depends on it, and reports it once in sync', async () => {
    const backend = createReferenceBackend();
    const x = await backend.upload(tensor('f32', [1, 2]));
    const { y } = backend.run(failing, { x }, {});
    const after = backend.run(scale, { x: y }, { scale: 1 });
    await expect(backend.download(after.y)).rejects.toMatchObject({ code: 'NUMERICAL' });
    await expect(backend.sync()).rejects.toMatchObject({ code: 'NUMERICAL' });
    await backend.sync();
  });

  it('refuses inputs that the kernel does not have or lacks, at once', async () => {
    const backend = createReferenceBackend();
    const x = await backend.upload(tensor('f32', [1, 2]));
    expect(() => backend.run(scale, {}, { scale: 1 })).toThrow(/core.scale needs the input "x"/);
    expect(() => backend.run(scale, { x, z: x } as { x: typeof x }, { scale: 1 })).toThrow(/has no input "z"/);
    expect(() => backend.run(scale, { x, toString: x } as never, { scale: 1 })).toThrow(/has no input "toString"/);
  });

  it('keeps the lane of a buffer on what is computed from it, until it is shared', async () => {
    const backend = createReferenceBackend();
    const x = await backend.upload(tensor('f32', [1, 1], Float32Array.of(4)), { lane: 0 });
    const { y } = backend.run(scale, { x }, { scale: 2 });
    expect(y.lane).toBe(0);
    const shared = backend.share(y);
    expect(shared.lane).toBeUndefined();
    backend.free(y);
    expect([...(await backend.download(shared)).data]).toEqual([8]);
  });
});

describe('withBuffers', () => {
  it('frees what it tracked, also after an error, and leaves the rest', async () => {
    const backend = createReferenceBackend();
    const kept = await withBuffers(backend, async (track) => {
      const x = track(await backend.upload(tensor('f32', [1, 4])));
      return backend.run(scale, { x }, { scale: 1 }).y;
    });
    expect(backend.allocatedBytes()).toBe(16);
    backend.free(kept);
    const attempt = withBuffers(backend, async (track) => {
      track(await backend.upload(tensor('f32', [1, 4])));
      throw new Error('stop');
    });
    await expect(attempt).rejects.toThrow('stop');
    expect(backend.allocatedBytes()).toBe(0);
  });
});

describe('defineKernel and splitRows', () => {
  it('freeze a kernel and tell by how many rows it splits', () => {
    expect(Object.isFrozen(failing)).toBe(true);
    expect(splitRows(failing as never, { x: { dtype: 'f32', shape: [5, 2] } })).toBe(5);
    const entire = defineKernel({ ...failing, outputs: { y: { role: 'whole' as const } } });
    expect(splitRows(entire as never, { x: { dtype: 'f32', shape: [5, 2] } })).toBeUndefined();
  });
});
