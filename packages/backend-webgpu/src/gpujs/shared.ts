import * as gpuJsModule from 'gpu.js';
import { silence } from '../device-errors.js';

/** The parts of gpu.js's WebGPU mode that its own declarations leave out (2.24). */
export interface GpuJs {
  readonly GPU: new (settings: { mode: 'webgpu' }) => GpuJsInstance;
  readonly WebGPUContext: { acquire(): Promise<GpuJsContext>; destroy(): Promise<void> };
  readonly WebGPUBufferResult: new (settings: {
    buffer: GPUBuffer;
    output: number[];
    context: GpuJsContext;
    kernel?: unknown;
  }) => GpuJsBuffer;
}

export interface GpuJsContext {
  readonly device: GPUDevice;
}

/** A buffer on the device, as argument or result of a gpu.js kernel. */
export interface GpuJsBuffer {
  readonly buffer: GPUBuffer;
  delete(): void;
}

export interface GpuJsKernel {
  (...values: (GpuJsBuffer | number)[]): Promise<GpuJsBuffer>;
  build(...values: (GpuJsBuffer | number)[]): Promise<void>;
  setOutput(size: readonly [number, number]): void;
  destroy(): void;
}

export interface GpuJsInstance {
  createKernel(source: string, settings: Record<string, unknown>): GpuJsKernel;
}

// In Node the module's names are gpu.js's own exports; a bundler gives its browser build, whose one export carries them as properties.
const { default: main } = gpuJsModule as unknown as { default?: GpuJs };
export const gpuJs: GpuJs = main ?? (gpuJsModule as unknown as GpuJs);

/**
 * Makes gpu.js work on our device. It asks `navigator.gpu` for an adapter and that for a device, once per process: for that moment
 * `navigator.gpu` is ours, and hands out the device that is already open.
 */
export async function bindGpuJs(adapter: GPUAdapter, device: GPUDevice): Promise<{ gpu: GpuJsInstance; context: GpuJsContext }> {
  const restore = installNavigator({
    requestAdapter: async () => ({
      limits: adapter.limits,
      features: adapter.features,
      info: adapter.info,
      requestDevice: async () => device,
    }),
  });
  try {
    const context = await gpuJs.WebGPUContext.acquire();
    silence(device);
    return { gpu: new gpuJs.GPU({ mode: 'webgpu' }), context };
  } finally {
    restore();
  }
}

/** Lets gpu.js drop (and destroy) the device that it was given. */
export function forgetGpuJs(): Promise<void> {
  return gpuJs.WebGPUContext.destroy();
}

function installNavigator(gpu: unknown): () => void {
  const scope = globalThis as { navigator?: object };
  const target = scope.navigator;
  if (!target) {
    Object.defineProperty(scope, 'navigator', { value: { gpu }, configurable: true });
    return () => Reflect.deleteProperty(scope, 'navigator');
  }
  const own = Object.getOwnPropertyDescriptor(target, 'gpu');
  Object.defineProperty(target, 'gpu', { value: gpu, configurable: true });
  return () => {
    if (own) Object.defineProperty(target, 'gpu', own);
    else Reflect.deleteProperty(target, 'gpu');
  };
}
