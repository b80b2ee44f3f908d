import { type BackendPlugin, defineBackend } from '@calibrant/core';
import { z } from 'zod';
import { requestAdapter } from './adapter.js';
import { createWebgpuBackend, type WebgpuBackendOptions } from './backend.js';

/**
 * The plug-in `webgpu`: `available` resolves to a reason for a person where no adapter is found.
 *
 * @example
 * const registry = createRegistry([webgpuBackend()]);
 */
export function webgpuBackend(): BackendPlugin<WebgpuBackendOptions> {
  return defineBackend<WebgpuBackendOptions>({
    name: 'webgpu',
    aliases: ['gpu'],
    meta: {
      description: 'Runs on a GPU by WebGPU (Dawn in Node): WGSL and gpu.js kernels, the rest by reference on the host.',
      source: 'https://www.w3.org/TR/webgpu/',
      package: '@calibrant/backend-webgpu',
    },
    options: z.strictObject({}) as z.ZodType<WebgpuBackendOptions>,
    async available() {
      const adapter = await requestAdapter();
      return typeof adapter === 'string' ? adapter : true;
    },
    create: createWebgpuBackend,
  });
}
