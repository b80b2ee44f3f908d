import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { adapterInfo, createWebgpuBackend, webgpuBackend } from '@calibrant/backend-webgpu';
import { add, CalibrantError, defineKernel, matmul, tensor } from '@calibrant/core';
import { expect, it } from '@jest/globals';
import { describeWithAdapter } from './adapter.js';
import { normal } from './numbers.js';

const isCalibrantError = (error: unknown, code: string): boolean => CalibrantError.isInstance(error) && error.code === code;

describeWithAdapter('backend.test.ts', 'the WebGPU backend itself', () => {
  it('is offered as a plug-in that says it is available', async () => {
    const plugin = webgpuBackend();
    expect([plugin.kind, plugin.name, await plugin.available()]).toEqual(['backend', 'webgpu', true]);
    const backend = await plugin.create({});
    expect(backend.lanes).toBe(1);
    await backend.close();
  });

  it('tells what the adapter is and what it allows', async () => {
    const info = await adapterInfo();
    if (typeof info === 'string') throw new Error(info);
    expect(info.maxStorageBufferBindingSize).toBeGreaterThanOrEqual(128 * 2 ** 20);
    expect(info.maxComputeInvocationsPerWorkgroup).toBeGreaterThanOrEqual(256);
    expect(info.vendor.length + info.description.length).toBeGreaterThan(0);
  });

  // Rows of whole and of broken vectors of 4, each read along and across k: with the Gram matrix of 300 columns in the conformance suite
  // (whole vectors, both across k), every path of the large kernel once. It takes a software adapter two seconds to compile one.
  it.each([
    [false, false, [131, 37, 133]],
    [true, true, [131, 37, 133]],
    [false, true, [132, 20, 260]],
  ])('multiplies matrices that are no multiple of its tile (transposed: %s, %s; sizes %j)', async (transposeA, transposeB, [m, k, n]) => {
    const backend = await createWebgpuBackend();
    const inputs = {
      a: normal(transposeA ? [k, m] : [m, k], 1),
      b: normal(transposeB ? [n, k] : [k, n], 2),
      c: normal([m, n], 3),
    };
    const attributes = { transposeA, transposeB, alpha: 0.5, beta: -2 };
    const want = matmul.reference(inputs, attributes, { start: 0, end: m }).y.data as Float32Array;
    const handles = { a: await backend.upload(inputs.a), b: await backend.upload(inputs.b), c: await backend.upload(inputs.c) };
    const have = (await backend.download(backend.run(matmul, handles, attributes).y)).data as Float32Array;
    // Each of k additions errs by 2^-24 of the sum so far, which here stays below 3k.
    const limit = k * 2 ** -24 * 3 * k;
    expect(Math.max(...have.map((value, i) => Math.abs(value - want[i])))).toBeLessThan(limit);
    await backend.close();
  });

  it('refuses at once a tensor that the adapter cannot bind, and says what to do', async () => {
    const backend = await createWebgpuBackend();
    const huge = defineKernel<'x', 'y', Record<string, never>>({
      name: 'test.huge',
      inputs: { x: { role: 'whole' } },
      outputs: { y: { role: 'whole' } },
      infer: () => ({ y: { dtype: 'f32', shape: [2 ** 20, 2 ** 20] } }),
      reference: ({ x }) => ({ y: x }),
    });
    const x = await backend.upload(tensor('f32', [1]));
    let error: unknown;
    try {
      backend.run(huge, { x }, {});
    } catch (thrown) {
      error = thrown;
    }
    expect(isCalibrantError(error, 'UNSUPPORTED')).toBe(true);
    expect((error as Error).message).toMatch(/test\.huge, output y: f32 \[1048576, 1048576\] takes \d+ bytes.*Split it by rows/);
    await backend.close();
  });

  it('carries tensors of every length and type through the device', async () => {
    const backend = await createWebgpuBackend();
    for (const length of [0, 1, 3, 65537, 5_000_001]) {
      const value = tensor('u8', [length]);
      for (let i = 0; i < length; i += 1 + (i >> 4)) value.data[i] = (i * 7 + 1) & 255;
      const handle = await backend.upload(value);
      const { data } = await backend.download(handle);
      expect(Buffer.compare(Buffer.from(data as Uint8Array), Buffer.from(value.data as Uint8Array))).toBe(0);
      backend.free(handle);
    }
    const empty = await backend.upload(tensor('f32', [0, 4]));
    expect((await backend.download(backend.run(add, { a: empty, b: empty }, {}).y)).shape).toEqual([0, 4]);
    await backend.close();
  });

  it('shares one device between backends, and opens a new one after the last was closed', async () => {
    const [first, second] = await Promise.all([createWebgpuBackend(), createWebgpuBackend()]);
    const x = tensor('f32', [1], Float32Array.of(4));
    const mine = await first.upload(x);
    await first.close();
    await expect(first.upload(x)).rejects.toThrow(/closed/);
    const theirs = await second.upload(x);
    expect((await second.download(theirs)).data[0]).toBe(4);
    await second.close();
    const third = await createWebgpuBackend();
    await expect(third.download(mine)).rejects.toThrow(/freed or belongs to another backend/);
    expect((await third.download(await third.upload(x))).data[0]).toBe(4);
    await third.close();
  });

  it('lets the process end once it is closed', async () => {
    const script = `import { createWebgpuBackend } from ${JSON.stringify(import.meta.resolve('@calibrant/backend-webgpu'))};
      import { fitAffine, tensor } from ${JSON.stringify(import.meta.resolve('@calibrant/core'))};
      const backend = await createWebgpuBackend();
      const { scales } = backend.run(fitAffine, { w: await backend.upload(tensor('f32', [1, 4])) }, { bits: 4, groupSize: 4, symmetric: true });
      console.log((await backend.download(scales)).data[0]);
      await backend.close();`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { timeout: 20_000 });
    expect(stdout).toBe('1\n');
  });
});
