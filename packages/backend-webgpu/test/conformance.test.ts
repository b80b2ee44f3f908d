import { createWebgpuBackend, type WebgpuBackend } from '@calibrant/backend-webgpu';
import { testBackend } from '@calibrant/plugin-kit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { describeWithAdapter } from './adapter.js';

describeWithAdapter('conformance.test.ts', 'the WebGPU backend', () => {
  // One backend stays open, and with it the device and the kernels compiled on it: the suite opens and closes many.
  let first: WebgpuBackend;
  beforeAll(async () => {
    first = await createWebgpuBackend();
  });
  afterAll(() => first.close());
  testBackend(() => createWebgpuBackend(), { describe, it, expect });
});
