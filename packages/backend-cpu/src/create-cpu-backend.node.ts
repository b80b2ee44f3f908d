import { availableParallelism } from 'node:os';
import type { Backend } from '@calibrant/core';
import { createLaneBackend, startWorkerLane } from '@calibrant/kernels';

export interface CpuBackendOptions {
  /** Lanes, one worker thread each; the number of processors that this process may use if absent. */
  readonly threads?: number;
  /** What multiplies matrices; onnxruntime where it is installed if absent. */
  readonly gemm?: 'onnxruntime' | 'wasm';
}

export function createCpuBackend({ threads = availableParallelism(), gemm = 'onnxruntime' }: CpuBackendOptions = {}): Backend {
  return createLaneBackend({
    name: 'cpu',
    description: `CPU, ${threads} ${threads === 1 ? 'lane' : 'lanes'}, ${gemm}`,
    lanes: threads,
    natives: new Set(['core.matmul', 'core.linear']),
    start: () => startWorkerLane(new URL('./lane-worker.node.js', import.meta.url), { gemm }),
  });
}
