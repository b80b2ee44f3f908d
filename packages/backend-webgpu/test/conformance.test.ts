import { createWebgpuBackend } from '@calibrant/backend-webgpu';
import { testBackend } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import { describeWithAdapter } from './adapter.js';

describeWithAdapter('conformance.test.ts', 'the WebGPU backend', () => {
  testBackend(() => createWebgpuBackend(), { describe, it, expect });
});
