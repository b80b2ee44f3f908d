import type { Kernel } from './kernel.js';
import type { Tensor, TensorSpec } from './tensor.js';

/** A buffer that a backend owns. Only that backend can read it; its contents may still be being computed. */
export interface BufferHandle extends TensorSpec {
  readonly id: number;
  readonly backend: string;
  /** The lane that holds the buffer, or undefined for a buffer that every lane can read. */
  readonly lane: number | undefined;
}

export type KernelInputs<In extends string> = { readonly [name in In]?: BufferHandle | undefined };

/**
 * Where arithmetic runs. A queue with the semantics of WebGPU's: `run` and `free` enqueue and return at once, `upload` and
 * `download` are awaited; work on one lane happens in the order in which it was enqueued.
 *
 * Lanes are independent queues (worker threads of a CPU, later GPUs of one host). Buffers uploaded or computed on a lane
 * stay there; buffers without a lane are visible to all, and a kernel on such buffers is split by rows over all lanes, in
 * chunks that do not depend on how many lanes there are.
 *
 * A failed operation poisons its outputs: `download` and `sync` reject with its error.
 */
export interface Backend {
  readonly specificationVersion: 'v1';
  readonly name: string;
  /** For people: `CPU, 2 lanes, onnxruntime 1.30`. */
  readonly description: string;
  readonly lanes: number;
  /** Copies a tensor into a buffer. With `lane` it lives on that lane alone. */
  upload(tensor: Tensor, options?: { readonly lane?: number }): Promise<BufferHandle>;
  /** Waits for the buffer and copies it out. */
  download(handle: BufferHandle): Promise<Tensor>;
  /**
   * Enqueues a kernel. Outputs live on the lane of the inputs (any input with a lane decides; two different lanes are an error),
   * else they are visible to all. Optional inputs may be left out or undefined.
   *
   * @throws CalibrantError `SHAPE_MISMATCH` at once when the inputs do not fit the kernel.
   */
  run<In extends string, Out extends string, Attributes>(
    kernel: Kernel<In, Out, Attributes>,
    inputs: KernelInputs<In>,
    attributes: Attributes,
  ): Record<Out, BufferHandle>;
  /** Makes a lane's buffer visible to all lanes. The source stays valid. */
  share(handle: BufferHandle): BufferHandle;
  /** Releases buffers once the work queued on them is done. Using a freed handle is an error. */
  free(...handles: (BufferHandle | undefined)[]): void;
  /** Waits for everything queued; rejects with the first error since the last call. */
  sync(): Promise<void>;
  /** What would run the kernel here. `native` is the backend's own code. */
  variant(kernel: Kernel): 'native' | 'wasm' | 'wgsl' | 'gpujs' | 'reference';
  /** Bytes that live buffers take now (without caches), for tests and memory reports. */
  allocatedBytes(): number;
  close(): Promise<void>;
}

/**
 * Runs `body` and then frees every buffer that it gave to `track`, also after an error. `track` returns its argument, so that it can
 * wrap calls; a buffer that is to outlive the body is not tracked.
 */
export async function withBuffers<Result>(
  backend: Backend,
  body: (track: <T extends BufferHandle>(handle: T) => T) => Promise<Result>,
): Promise<Result> {
  const tracked: BufferHandle[] = [];
  try {
    return await body((handle) => {
      tracked.push(handle);
      return handle;
    });
  } finally {
    backend.free(...tracked);
  }
}
