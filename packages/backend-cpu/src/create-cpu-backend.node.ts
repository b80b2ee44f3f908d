import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { type Backend, CalibrantError } from '@calibrant/core';
import { createLaneBackend, startWorkerLane } from '@calibrant/kernels';
import { NATIVE_KERNELS } from './operations.js';

/** What multiplies matrices. */
export type GemmEngine = 'onnxruntime' | 'wasm';

export interface CpuBackendOptions {
  /** Lanes, one worker thread each. Default: the number of processors that this process may use. */
  readonly threads?: number;
  /** Default: onnxruntime where `onnxruntime-node` is installed with a library for this platform, else WebAssembly (about a tenth as fast). */
  readonly gemm?: GemmEngine;
}

/**
 * A backend on the CPU. Each lane is a worker thread that multiplies matrices by onnxruntime on one thread of its own and runs everything
 * else as SIMD WebAssembly. Results do not depend on the number of lanes.
 *
 * @throws CalibrantError `MISSING_DEPENDENCY` when onnxruntime is asked for and not installed, `INVALID_ARGUMENT` for a bad number of threads.
 * @example
 * const backend = createCpuBackend({ threads: 2 });
 * const x = await backend.upload(tensor('f32', [1, 2], Float32Array.of(3, 4)));
 * const { y } = backend.run(scale, { x }, { scale: 2 });
 * await backend.download(y); // [[6, 8]]
 * await backend.close();
 */
export function createCpuBackend({ threads = availableParallelism(), gemm }: CpuBackendOptions = {}): Backend {
  if (!(Number.isInteger(threads) && threads >= 1 && threads <= 256))
    throw new CalibrantError('INVALID_ARGUMENT', `The number of threads must be a whole number from 1 to 256, found ${threads}.`, {
      option: 'threads',
    });
  const version = gemm === 'wasm' ? undefined : onnxruntimeVersion();
  if (gemm === 'onnxruntime' && !version)
    throw new CalibrantError(
      'MISSING_DEPENDENCY',
      `The CPU backend was asked to multiply by onnxruntime, but the package onnxruntime-node is not installed or has no library for ${process.platform}-${process.arch}. Install onnxruntime-node, or choose the option gemm: "wasm".`,
      { option: 'gemm' },
    );
  const engine: GemmEngine = version ? 'onnxruntime' : 'wasm';
  return createLaneBackend({
    name: 'cpu',
    description: `CPU, ${threads} ${threads === 1 ? 'lane' : 'lanes'}, ${version ? `onnxruntime ${version}` : 'WebAssembly'}`,
    lanes: threads,
    natives: NATIVE_KERNELS,
    start: () => startWorkerLane(new URL('./lane-worker.node.js', import.meta.url), { gemm: engine }),
  });
}

/** The version of onnxruntime-node, or undefined where it or its library for this platform is missing. Loads nothing. */
export function onnxruntimeVersion(): string | undefined {
  const require = createRequire(import.meta.url);
  try {
    const manifest = require.resolve('onnxruntime-node/package.json');
    const library = path.join(path.dirname(manifest), 'bin', 'napi-v6', process.platform, process.arch, 'onnxruntime_binding.node');
    return existsSync(library) ? (require(manifest) as { version: string }).version : undefined;
  } catch {
    return undefined;
  }
}
