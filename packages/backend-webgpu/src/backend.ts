import {
  type Backend,
  type BufferHandle,
  byteLength,
  CalibrantError,
  checkInputs,
  describeSpec,
  dtypeInfo,
  type Kernel,
  type KernelInputs,
  type TensorSpec,
  tensor,
} from '@calibrant/core';
import type { AdapterInfo } from './adapter.js';
import { acquireDevice, releaseDevice } from './device.js';
import { captureErrors, toCalibrantError } from './device-errors.js';
import { bytesOf, createExecutor, type Operand } from './execute.js';
import { createStorage, paddedSize, type Storage } from './storage.js';
import { createVariants } from './variants.js';

export type WebgpuBackendOptions = Record<string, never>;

/** A {@link Backend} with what is known about its adapter. */
export interface WebgpuBackend extends Backend {
  readonly adapter: AdapterInfo;
}

const NAME = 'webgpu';

/**
 * Opens the backend on the first WebGPU adapter: Dawn (the optional npm package `webgpu`) in Node, `navigator.gpu` in a browser.
 * All backends of a process share one device, which `close` of the last one destroys.
 *
 * GEMM, Gram matrices, RMS norm and elementwise operations are WGSL kernels in f32 (a dot product is one chain of f32 multiply-adds);
 * fitting, rounding and dequantization are gpu.js kernels; a plug-in's kernel runs by its `wgsl` or `gpujs` variant. Everything else
 * runs by its reference on the host, between a download and an upload: right, and slow.
 *
 * @throws CalibrantError `MISSING_DEPENDENCY` when there is no adapter, with what to install.
 * @example
 * const backend = await createWebgpuBackend();
 * const x = await backend.upload(tensor('f32', [2, 2], new Float32Array([1, 2, 3, 4])));
 * const { y } = backend.run(matmul, { a: x, b: x }, {});
 * (await backend.download(y)).data; // 7, 10, 15, 22
 * await backend.close();
 */
export async function createWebgpuBackend(_options: WebgpuBackendOptions = {}): Promise<WebgpuBackend> {
  const shared = await acquireDevice();
  const { device, info } = shared;
  const executor = createExecutor(shared);
  const variants = createVariants(device.limits);
  const largest = Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize);

  const storages = new Map<number, Storage>();
  let nextId = 1;
  let liveBytes = 0;
  let closed = false;
  /** The last operation that was queued, and what the device said about all of them. */
  let queue: Promise<void> = Promise.resolve();
  let verdicts: Promise<void> = Promise.resolve();
  let failure: CalibrantError | undefined;

  const expectOpen = (): void => {
    if (closed) throw new CalibrantError('INVALID_ARGUMENT', 'This WebGPU backend is closed.');
  };
  const expectFits = (what: string, spec: TensorSpec): void => {
    if (paddedSize(byteLength(spec)) > largest)
      throw new CalibrantError(
        'UNSUPPORTED',
        `${what}: ${describeSpec(spec)} takes ${byteLength(spec)} bytes, and this adapter (${info.description}) allows ${largest} per tensor. Split it by rows, or use the CPU backend.`,
      );
  };
  const expectLane = (lane: number | undefined): void => {
    if (lane !== undefined && lane !== 0)
      throw new CalibrantError('INVALID_ARGUMENT', `Lane ${lane} does not exist: the WebGPU backend has one lane, 0.`);
  };
  const register = (spec: TensorSpec, lane: number | undefined, storage: Storage): BufferHandle => {
    const handle: BufferHandle = Object.freeze({ id: nextId++, backend: NAME, lane, dtype: spec.dtype, shape: [...spec.shape] });
    storages.set(handle.id, storage);
    return handle;
  };
  const find = (handle: BufferHandle): Storage | CalibrantError =>
    (handle.backend === NAME ? storages.get(handle.id) : undefined) ??
    new CalibrantError('INVALID_ARGUMENT', `Buffer ${handle.id} was freed or belongs to another backend.`);
  const unreference = (storage: Storage): void => {
    if (--storage.references > 0 || !storage.buffer) return;
    executor.pool.give(storage.buffer);
    storage.buffer = undefined;
  };
  const record = (settled: Promise<CalibrantError | undefined>): void => {
    verdicts = Promise.all([verdicts, settled]).then(([, error]) => {
      failure ??= error;
    });
  };
  /** Allocates inside of a caller's `captureErrors`. */
  const allocate = (storage: Storage): GPUBuffer => {
    storage.buffer = executor.pool.take(paddedSize(storage.bytes));
    return storage.buffer;
  };

  const execute = async (
    kernel: Kernel,
    attributes: unknown,
    inputs: readonly { name: string; spec: TensorSpec; storage: Storage }[],
    outputs: readonly { name: string; spec: TensorSpec; storage: Storage }[],
  ): Promise<{ settled: Promise<CalibrantError | undefined> }> => {
    if (shared.lost) throw shared.lost;
    const specs = Object.fromEntries(inputs.map(({ name, spec }) => [name, spec]));
    const choice = variants.choose(kernel, specs, attributes);
    const poisoned = inputs.find(({ storage }) => storage.buffer === undefined);
    if (poisoned) return { settled: poisoned.storage.settled };
    if (choice.kind === 'reference') {
      for (const { storage } of inputs) {
        const error = await storage.settled;
        if (error) return { settled: Promise.resolve(error) };
      }
    }
    const allocated = captureErrors(device, kernel.name, () => {
      for (const { storage } of outputs) allocate(storage);
    });
    const operands = (list: typeof inputs): Operand[] => list.map(({ name, spec, storage }) => ({ name, spec, buffer: storage.buffer! }));
    const { settled } = await executor.run(choice, { kernel, attributes, inputs: operands(inputs), outputs: operands(outputs) });
    return { settled: allocated.then((error) => error ?? settled) };
  };

  return {
    specificationVersion: 'v1',
    name: NAME,
    description: `WebGPU, ${info.description || info.device || info.vendor}`,
    adapter: info,
    lanes: 1,
    async upload(value, { lane } = {}) {
      expectOpen();
      expectLane(lane);
      const what = `upload of ${describeSpec(value)}`;
      expectFits(what, value);
      if (shared.lost) throw shared.lost;
      const storage = createStorage(byteLength(value));
      const error = await captureErrors(device, what, () => {
        allocate(storage);
      });
      if (error) {
        storage.buffer?.destroy();
        throw error;
      }
      try {
        await executor.staging.upload(storage.buffer!, bytesOf(value));
      } catch (cause) {
        throw shared.lost ?? toCalibrantError(what, cause);
      }
      liveBytes += storage.bytes;
      return register(value, lane, storage);
    },
    async download(handle) {
      expectOpen();
      const storage = find(handle);
      if (storage instanceof Error) throw storage;
      storage.references++;
      try {
        await queue;
        const error = (await storage.settled) ?? shared.lost;
        if (error) throw error;
        const bytes = new Uint8Array(storage.bytes);
        try {
          await executor.staging.download(storage.buffer!, bytes);
        } catch (cause) {
          throw shared.lost ?? toCalibrantError(`download of ${describeSpec(handle)}`, cause);
        }
        return tensor(handle.dtype, handle.shape, new (dtypeInfo(handle.dtype).array)(bytes.buffer));
      } finally {
        unreference(storage);
      }
    },
    run<In extends string, Out extends string, Attributes>(
      kernel: Kernel<In, Out, Attributes>,
      given: KernelInputs<In>,
      attributes: Attributes,
    ) {
      expectOpen();
      const plain = kernel as unknown as Kernel;
      const specs = checkInputs(plain, given);
      const inferred = kernel.infer(specs as Record<In, TensorSpec>, attributes);
      const names = Object.keys(kernel.outputs) as Out[];
      for (const name of names) expectFits(`${kernel.name}, output ${name}`, inferred[name]);

      const inputs: { name: string; spec: TensorSpec; storage: Storage }[] = [];
      let missing: CalibrantError | undefined;
      let lane: number | undefined;
      for (const name of Object.keys(kernel.inputs) as In[]) {
        const handle = given[name];
        if (!handle) continue;
        lane ??= handle.lane;
        const storage = find(handle);
        if (storage instanceof Error) missing ??= storage;
        else inputs.push({ name, spec: handle, storage });
      }
      const outputs = names.map((name) => ({ name, spec: inferred[name], storage: createStorage(byteLength(inferred[name])) }));
      for (const { storage } of outputs) liveBytes += storage.bytes;

      const submitted = queue.then(async () => {
        try {
          if (missing) throw missing;
          return await execute(plain, attributes, inputs, outputs);
        } catch (error) {
          return { settled: Promise.resolve<CalibrantError | undefined>(shared.lost ?? toCalibrantError(kernel.name, error)) };
        }
      });
      queue = submitted.then(() => undefined);
      // An input that failed is the cause of whatever went wrong here. Its verdict is asked for now: it may be freed by then.
      const before = inputs.map(({ storage }) => storage.settled);
      const settled = submitted.then(async ({ settled: own }) => {
        for (const earlier of before) {
          const error = await earlier;
          if (error) return error;
        }
        return own;
      });
      record(settled);
      const result = {} as Record<Out, BufferHandle>;
      for (const { name, spec, storage } of outputs) {
        storage.settled = settled;
        result[name as Out] = register(spec, lane, storage);
      }
      return result;
    },
    share(handle) {
      expectOpen();
      const storage = find(handle);
      if (storage instanceof Error) throw storage;
      storage.handles++;
      storage.references++;
      return register(handle, undefined, storage);
    },
    free(...handles) {
      for (const handle of handles) {
        if (!handle) continue;
        const storage = find(handle);
        if (storage instanceof Error) continue;
        storages.delete(handle.id);
        if (--storage.handles === 0) liveBytes -= storage.bytes;
        queue = queue.then(() => unreference(storage));
      }
    },
    async sync() {
      expectOpen();
      await queue;
      await verdicts;
      if (!shared.lost) await device.queue.onSubmittedWorkDone();
      const error = failure ?? shared.lost;
      failure = undefined;
      if (error) throw error;
    },
    variant: (kernel) => variants.usual(kernel),
    allocatedBytes: () => liveBytes,
    async close() {
      if (closed) return;
      closed = true;
      await queue;
      await verdicts;
      for (const storage of storages.values()) storage.buffer?.destroy();
      storages.clear();
      liveBytes = 0;
      executor.close();
      await releaseDevice(shared);
    },
  };
}
