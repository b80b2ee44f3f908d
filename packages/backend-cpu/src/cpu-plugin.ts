import { type BackendPlugin, defineBackend } from '@calibrant/core';
import { z } from 'zod';
import { createCpuBackend } from './create-cpu-backend.node.js';

const options = z.strictObject({
  threads: z.number().int().min(1).max(256).optional().describe('lanes, one worker thread each; the number of processors if absent'),
  gemm: z.enum(['onnxruntime', 'wasm']).optional().describe('what multiplies matrices; onnxruntime where it is installed if absent'),
});

/** Options of the plug-in, as in a recipe or on the command line. */
export type CpuPluginOptions = z.output<typeof options>;

/**
 * The plug-in `cpu`.
 *
 * @param defaults options for where a caller of `create` gives none
 */
export function cpuBackend(defaults: CpuPluginOptions = {}): BackendPlugin<CpuPluginOptions> {
  return defineBackend<CpuPluginOptions>({
    name: 'cpu',
    meta: {
      description: 'The CPU: onnxruntime matrix products and SIMD WebAssembly kernels in worker threads',
      package: '@calibrant/backend-cpu',
    },
    options,
    available: async () => true,
    create: async (given) => createCpuBackend({ ...defaults, ...given }),
  });
}
