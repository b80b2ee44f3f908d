import {
  type Backend,
  type BufferHandle,
  byteLength,
  CalibrantError,
  checkInputs,
  type Kernel,
  type KernelInputs,
  type Tensor,
  type TensorSpec,
  tensor,
} from '@calibrant/core';
import { type Buffer, Dispatcher } from './dispatcher.js';
import type { LanePort } from './lane-link.js';
import { laneVariant, planCall } from './plan.js';
import type { SharedStorage } from './shared-storage.js';

export interface LaneBackendOptions {
  /** The backend's name, as in recipes. */
  readonly name: string;
  readonly description: string;
  readonly lanes: number;
  /** Starts the worker of a lane. */
  readonly start: (lane: number) => LanePort;
  /** Names of the kernels for which the workers have code of their own. */
  readonly natives: ReadonlySet<string>;
}

/** Values up to this size travel in the message; larger ones by shared memory. */
const INLINE_UPLOAD = 65536;

/**
 * A `Backend` whose lanes are workers that each run a {@link Lane}: the queueing, sharing, splitting and accounting that any such
 * backend needs. What the lanes compute natively is the worker's matter.
 *
 * A kernel that has neither native code nor a `wasm` variant, and is not one of `@calibrant/core`, runs its reference in the calling thread.
 */
export function createLaneBackend({ name, description, lanes, start, natives }: LaneBackendOptions): Backend {
  const dispatcher = new Dispatcher(lanes, start);
  const buffers = new Map<number, Buffer>();
  let nextId = 1;
  let bytes = 0;
  let closed = false;

  function expectOpen(): void {
    if (closed) throw new CalibrantError('INVALID_ARGUMENT', `The backend ${name} was closed.`);
  }

  function create({ dtype, shape }: TensorSpec, lane: number | undefined, storage?: SharedStorage): BufferHandle {
    const handle: BufferHandle = { id: nextId++, backend: name, lane, dtype, shape: [...shape] };
    buffers.set(handle.id, { id: handle.id, spec: handle, lane, storage });
    if (!storage || storage.handles === 1) bytes += byteLength(handle);
    return handle;
  }

  function find(handle: BufferHandle): Buffer {
    expectOpen();
    const found = handle.backend === name ? buffers.get(handle.id) : undefined;
    if (!found) throw new CalibrantError('INVALID_ARGUMENT', `Buffer ${handle.id} was freed or belongs to another backend.`);
    return found;
  }

  return {
    specificationVersion: 'v1',
    name,
    description,
    lanes,

    async upload(value, { lane } = {}) {
      expectOpen();
      if (lane !== undefined && !(Number.isInteger(lane) && lane >= 0 && lane < lanes))
        throw new CalibrantError('INVALID_ARGUMENT', `Lane ${lane} does not exist: this backend has ${lanes}, numbered from 0.`);
      const { dtype, shape } = value;
      if (lane !== undefined && value.data.byteLength <= INLINE_UPLOAD) {
        const handle = create(value, lane);
        const data = value.data.slice();
        dispatcher.links[lane].enqueue(
          () => ({ op: 'upload', id: handle.id, dtype, shape: handle.shape, data }),
          [],
          [data.buffer as ArrayBuffer],
        );
        return handle;
      }
      const storage = dispatcher.storage({ dtype, shape: [...shape] });
      storage.data.set(value.data as never);
      storage.settle();
      if (lane === undefined) return create(value, undefined, storage);
      const handle = create(value, lane);
      dispatcher.upload(find(handle), storage);
      return handle;
    },

    async download(handle): Promise<Tensor> {
      const { storage, spec, lane } = find(handle);
      if (!storage) {
        const link = dispatcher.links[lane!];
        const { ticket, reply } = link.ticket();
        link.enqueue(() => ({ op: 'download', id: handle.id, ticket }));
        return tensor(spec.dtype, spec.shape, await reply);
      }
      storage.readers++;
      await new Promise<void>((resolve) => storage.whenSettled(resolve));
      try {
        if (storage.error) throw storage.error;
        return tensor(spec.dtype, spec.shape, storage.data.slice());
      } finally {
        storage.readers--;
        dispatcher.retire(storage);
      }
    },

    run<In extends string, Out extends string, Attributes>(
      typed: Kernel<In, Out, Attributes>,
      given: KernelInputs<In>,
      attributes: Attributes,
    ): Record<Out, BufferHandle> {
      const kernel = typed as unknown as Kernel;
      const handles = given as Readonly<Record<string, BufferHandle | undefined>>;
      const plan = planCall(kernel, checkInputs(kernel, handles), attributes, natives);
      const inputs = plan.inputs.map((operand) => {
        const handle = handles[operand.name];
        return handle && find(handle);
      });
      const lane = commonLane(kernel, inputs);
      const storages = lane === undefined ? plan.outputs.map((spec) => dispatcher.storage(spec)) : [];
      const outputs = plan.outputs.map((spec, i) => create(spec, lane, storages[i]));
      if (lane === undefined) dispatcher.runShared(kernel, plan, inputs, storages);
      else dispatcher.runOnLane(lane, kernel, plan, inputs, outputs);
      return Object.fromEntries(plan.outputs.map((spec, i) => [spec.name, outputs[i]])) as Record<Out, BufferHandle>;
    },

    share(handle) {
      const buffer = find(handle);
      if (!buffer.storage) return create(buffer.spec, undefined, dispatcher.share(buffer));
      buffer.storage.handles++;
      return create(buffer.spec, undefined, buffer.storage);
    },

    free(...handles) {
      const onLanes = new Map<number, number[]>();
      for (const handle of handles) {
        const found = handle?.backend === name ? buffers.get(handle.id) : undefined;
        if (!found) continue;
        buffers.delete(found.id);
        const { storage, lane } = found;
        if (storage && --storage.handles > 0) continue;
        bytes -= byteLength(found.spec);
        if (storage) dispatcher.retire(storage);
        else onLanes.set(lane!, [...(onLanes.get(lane!) ?? []), found.id]);
      }
      for (const [lane, ids] of onLanes) dispatcher.links[lane].enqueue(() => ({ op: 'free', ids }));
    },

    async sync() {
      expectOpen();
      await dispatcher.sync();
    },

    variant(kernel) {
      const kind = laneVariant(kernel, natives);
      return kind === 'main' ? 'reference' : kind;
    },

    allocatedBytes: () => bytes,

    async close() {
      closed = true;
      buffers.clear();
      bytes = 0;
      await dispatcher.close();
    },
  };
}

function commonLane(kernel: Kernel, inputs: readonly (Buffer | undefined)[]): number | undefined {
  let found: number | undefined;
  for (const input of inputs) {
    if (input?.lane === undefined) continue;
    if (found !== undefined && found !== input.lane)
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `${kernel.name}: its inputs live on the lanes ${found} and ${input.lane}. Share one of them first.`,
      );
    found = input.lane;
  }
  return found;
}
