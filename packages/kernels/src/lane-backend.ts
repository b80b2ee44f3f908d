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
import { LaneLink, type LanePort } from './lane-link.js';
import { answer, referenceInMain } from './main-reference.js';
import { laneVariant, type Plan, planCall } from './plan.js';
import { type Call, type Command, type InputOperand, type OutputOperand, plainError, type Reply, revive } from './protocol.js';
import { SharedStorage, whenAllSettled } from './shared-storage.js';
import { TaskPool } from './task-pool.js';

export interface LaneBackendOptions {
  /** The backend's name, as in recipes. */
  readonly name: string;
  readonly description: string;
  /** Starts the worker of a lane. */
  readonly start: (lane: number) => LanePort;
  readonly lanes: number;
  /** Names of the kernels for which the workers have code of their own. */
  readonly natives: ReadonlySet<string>;
}

interface Buffer {
  readonly spec: TensorSpec;
  readonly lane: number | undefined;
  readonly storage?: SharedStorage;
}

/**
 * A {@link Backend} whose lanes are workers that each run a {@link Lane}: the queueing, sharing, splitting and accounting that any such
 * backend needs. What the lanes compute natively is the worker's matter.
 */
export function createLaneBackend({ name, description, start, lanes, natives }: LaneBackendOptions): Backend {
  const buffers = new Map<number, Buffer>();
  const asked = new Map<string, Kernel>();
  let nextId = 1;
  let bytes = 0;
  let failure: unknown;
  let closed = false;
  /** Shared work that is not finished. */
  const unfinished = new Set<Promise<void>>();
  const links = Array.from({ length: lanes }, (_, lane) => new LaneLink(lane, start(lane), (reply) => onReply(lane, reply)));
  const pool = new TaskPool(links);
  const knownModules = links.map(() => new Set<string>());

  function onReply(lane: number, reply: Exclude<Reply, { type: 'done' }>): void {
    if (reply.type === 'failed') {
      failure ??= revive(reply.error);
      return;
    }
    const { call, inputs } = reply;
    links[lane].postNow(answer(asked.get(call.kernel)!, call, inputs));
  }

  function create(spec: TensorSpec, lane: number | undefined, storage?: SharedStorage): BufferHandle {
    const handle: BufferHandle = { id: nextId++, backend: name, lane, dtype: spec.dtype, shape: [...spec.shape] };
    buffers.set(handle.id, { spec: handle, lane, storage });
    if (!storage || storage.handles === 1) bytes += byteLength(spec);
    return handle;
  }

  function find(handle: BufferHandle): Buffer {
    if (closed) throw new CalibrantError('INVALID_ARGUMENT', 'The backend was closed.');
    const found = handle.backend === name ? buffers.get(handle.id) : undefined;
    if (!found) throw new CalibrantError('INVALID_ARGUMENT', `Buffer ${handle.id} was freed or belongs to another backend.`);
    return found;
  }

  /** Tells lanes to forget their copies, once nobody will read the storage again. */
  function retire(storage: SharedStorage): void {
    if (storage.handles > 0 || storage.readers > 0) return;
    for (const lane of storage.copies) links[lane].postNow({ op: 'drop', storages: [storage.id] });
    storage.copies.clear();
  }

  function track(work: Promise<void>): void {
    unfinished.add(work);
    void work.finally(() => unfinished.delete(work));
  }

  function wholeInput(operand: string, role: 'rows' | 'whole', storage: SharedStorage, lane: number): InputOperand {
    const { dtype, shape } = storage.spec;
    const base = { name: operand, role, dtype, shape };
    if (storage.error) return { ...base, error: plainError(storage.error) };
    storage.copies.add(lane);
    return { ...base, storage: storage.id, memory: storage.memory };
  }

  /** The command that brings a module to a lane which does not have it. */
  function moduleCommands(plan: Plan, lane: number): Command[] {
    if (!plan.module || knownModules[lane].has(plan.module.id)) return [];
    knownModules[lane].add(plan.module.id);
    return [{ op: 'module', module: plan.module.id, base64: plan.module.base64 }];
  }

  function runOnLane(
    lane: number,
    plan: Plan,
    inputs: (Buffer | undefined)[],
    handles: (BufferHandle | undefined)[],
    outputs: BufferHandle[],
  ) {
    const storages = inputs.flatMap((input) => (input?.storage ? [input.storage] : []));
    for (const storage of storages) storage.readers++;
    const outputOperands: OutputOperand[] = plan.outputs.map((operand, i) => ({ ...operand, id: outputs[i].id }));
    links[lane].enqueue(() => {
      const operands = plan.inputs.map(({ name: operand, role }, i): InputOperand | undefined => {
        const input = inputs[i];
        if (!input) return undefined;
        if (input.storage) return wholeInput(operand, role, input.storage, lane);
        return { name: operand, role, dtype: input.spec.dtype, shape: input.spec.shape, id: handles[i]!.id };
      });
      for (const storage of storages) storage.readers--;
      const call: Call = { ...plan.call, inputs: operands, outputs: outputOperands, start: 0, end: plan.rows };
      // A copy is retired after the call that made it, so retirement must follow in the same queue.
      queueMicrotask(() => storages.forEach(retire));
      return [...moduleCommands(plan, lane), { op: 'run', call }];
    }, storages);
  }

  function runShared(kernel: Kernel, plan: Plan, inputs: (Buffer | undefined)[], outputs: SharedStorage[]): void {
    const storages = inputs.flatMap((input) => (input?.storage ? [input.storage] : []));
    for (const storage of storages) storage.readers++;
    const work = new Promise<void>((resolve) => {
      const finish = (error?: CalibrantError) => {
        if (error) failure ??= error;
        for (const storage of outputs) storage.settle(error);
        for (const storage of storages) {
          storage.readers--;
          retire(storage);
        }
        resolve();
      };
      whenAllSettled(storages, () => {
        const failed = storages.find(({ error }) => error);
        if (failed) return finish(failed.error);
        if (plan.call.variant.kind === 'main') {
          const sources = inputs.map((input) => input?.storage);
          referenceInMain(kernel, plan, sources, outputs).then(() => finish(), finish);
          return;
        }
        const tasks = plan.chunks().map(([from, to]) => ({
          post(lane: number, ticket: number): Command[] {
            return [...moduleCommands(plan, lane), { op: 'run', call: chunkCall(plan, inputs, outputs, lane, from, to, ticket) }];
          },
        }));
        pool.run(tasks).then(
          () => finish(),
          (error: CalibrantError) => finish(error),
        );
      });
    });
    track(work);
  }

  function chunkCall(
    plan: Plan,
    inputs: (Buffer | undefined)[],
    outputs: SharedStorage[],
    lane: number,
    start: number,
    end: number,
    ticket: number,
  ): Call {
    const part = (storage: SharedStorage) => {
      const rowBytes = storage.spec.shape[0] > 0 ? storage.bytes / storage.spec.shape[0] : 0;
      return { shape: [end - start, ...storage.spec.shape.slice(1)], memory: storage.memory, byteOffset: start * rowBytes };
    };
    const operands = plan.inputs.map(({ name: operand, role }, i): InputOperand | undefined => {
      const storage = inputs[i]?.storage;
      if (!storage) return undefined;
      if (role === 'whole' || !plan.split) return wholeInput(operand, role, storage, lane);
      return { name: operand, role, dtype: storage.spec.dtype, storage: storage.id, ...part(storage) };
    });
    const results = plan.outputs.map((operand, i): OutputOperand => {
      if (!plan.split) return { ...operand, memory: outputs[i].memory, byteOffset: 0 };
      return { ...operand, ...part(outputs[i]) };
    });
    return { ...plan.call, inputs: operands, outputs: results, start, end, ticket };
  }

  return {
    specificationVersion: 'v1',
    name,
    description,
    lanes,

    async upload(value, { lane } = {}) {
      if (closed) throw new CalibrantError('INVALID_ARGUMENT', 'The backend was closed.');
      if (lane !== undefined && !(Number.isInteger(lane) && lane >= 0 && lane < lanes))
        throw new CalibrantError('INVALID_ARGUMENT', `Lane ${lane} does not exist: this backend has ${lanes}, numbered from 0.`);
      if (lane === undefined) {
        const storage = new SharedStorage({ dtype: value.dtype, shape: value.shape });
        storage.data.set(value.data as never);
        storage.settle();
        return create(value, undefined, storage);
      }
      const handle = create(value, lane);
      const data = value.data.slice();
      const command: Command = { op: 'upload', id: handle.id, dtype: value.dtype, shape: handle.shape, data };
      links[lane].enqueue(() => command, [], [data.buffer as ArrayBuffer]);
      return handle;
    },

    async download(handle): Promise<Tensor> {
      const { storage, spec, lane } = find(handle);
      if (storage) {
        await new Promise<void>((resolve) => storage.whenSettled(resolve));
        if (storage.error) throw storage.error;
        return tensor(spec.dtype, spec.shape, storage.data.slice());
      }
      const link = links[lane!];
      const { ticket, reply } = link.ticket();
      link.enqueue(() => ({ op: 'download', id: handle.id, ticket }));
      return tensor(spec.dtype, spec.shape, await reply);
    },

    run<In extends string, Out extends string, Attributes>(
      typed: Kernel<In, Out, Attributes>,
      given: KernelInputs<In>,
      attributes: Attributes,
    ): Record<Out, BufferHandle> {
      const kernel = typed as unknown as Kernel;
      const handlesByName = given as Readonly<Record<string, BufferHandle | undefined>>;
      const specs = checkInputs(kernel, handlesByName);
      const plan = planCall(kernel, specs, attributes, natives);
      const handles = plan.inputs.map(({ name: operand }) => handlesByName[operand]);
      const inputs = handles.map((handle) => handle && find(handle));
      const lane = commonLane(kernel, handles);
      const results: Record<string, BufferHandle> = {};
      if (lane === undefined) {
        const storages = plan.outputs.map((spec) => new SharedStorage(spec));
        plan.outputs.forEach((spec, i) => {
          results[spec.name] = create(spec, undefined, storages[i]);
        });
        runShared(kernel, plan, inputs, storages);
      } else {
        const outputs = plan.outputs.map((spec) => create(spec, lane));
        plan.outputs.forEach((spec, i) => {
          results[spec.name] = outputs[i];
        });
        if (plan.call.variant.kind === 'main') asked.set(kernel.name, kernel);
        runOnLane(lane, plan, inputs, handles, outputs);
      }
      return results as Record<Out, BufferHandle>;
    },

    share(handle) {
      const { storage, spec, lane } = find(handle);
      if (storage) {
        storage.handles++;
        return create(spec, undefined, storage);
      }
      const target = new SharedStorage(spec);
      const link = links[lane!];
      const { ticket, reply } = link.ticket();
      link.enqueue(() => ({ op: 'share', id: handle.id, memory: target.memory, ticket }));
      track(
        reply.then(
          () => target.settle(),
          (error: CalibrantError) => target.settle(error),
        ),
      );
      return create(spec, undefined, target);
    },

    free(...handles) {
      const byLane = new Map<number, number[]>();
      for (const handle of handles) {
        const found = handle && handle.backend === name ? buffers.get(handle.id) : undefined;
        if (!found) continue;
        buffers.delete(handle!.id);
        const { storage, lane } = found;
        if (!storage) {
          bytes -= byteLength(found.spec);
          byLane.set(lane!, [...(byLane.get(lane!) ?? []), handle!.id]);
        } else if (--storage.handles === 0) {
          bytes -= storage.bytes;
          retire(storage);
        }
      }
      for (const [lane, ids] of byLane) links[lane].enqueue(() => ({ op: 'free', ids }));
    },

    async sync() {
      const fences = links.map((link) => {
        const { ticket, reply } = link.ticket();
        link.enqueue(() => ({ op: 'fence', ticket }));
        return reply;
      });
      await Promise.all([...fences, ...unfinished]);
      const error = failure;
      failure = undefined;
      if (error) throw error;
    },

    variant: (kernel) => {
      const kind = laneVariant(kernel, natives);
      return kind === 'main' ? 'reference' : kind;
    },

    allocatedBytes: () => bytes,

    async close() {
      closed = true;
      buffers.clear();
      bytes = 0;
      await Promise.all(links.map((link) => link.close()));
    },
  };
}

function commonLane(kernel: Kernel, handles: readonly (BufferHandle | undefined)[]): number | undefined {
  let found: number | undefined;
  for (const handle of handles) {
    if (handle?.lane === undefined) continue;
    if (found !== undefined && found !== handle.lane)
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `${kernel.name}: its inputs live on the lanes ${found} and ${handle.lane}. Share one of them first.`,
      );
    found = handle.lane;
  }
  return found;
}
