import type { BufferHandle, CalibrantError, Kernel, OperandRole, TensorSpec } from '@calibrant/core';
import { LaneLink, type LanePort } from './lane-link.js';
import { answer, referenceInMain } from './main-reference.js';
import type { Plan } from './plan.js';
import { type Call, type Command, type InputOperand, type OutputOperand, plainError, type Reply, revive } from './protocol.js';
import { SharedMemoryPool } from './shared-memory-pool.js';
import { SharedStorage, whenAllSettled } from './shared-storage.js';
import { TaskPool } from './task-pool.js';

/** A buffer as the main thread knows it: on a lane, or on shared storage. */
export interface Buffer {
  readonly id: number;
  readonly spec: TensorSpec;
  readonly lane: number | undefined;
  readonly storage?: SharedStorage;
}

/** Sends calls to lanes, keeps shared storage alive as long as it is read, and collects failures. */
export class Dispatcher {
  readonly links: readonly LaneLink[];
  readonly #tasks: TaskPool;
  readonly #memory = new SharedMemoryPool();
  readonly #modulesOnLane: readonly Set<string>[];
  /** Kernels that a lane may ask the main thread to compute. */
  readonly #asked = new Map<string, Kernel>();
  /** Shared work that is not finished. */
  readonly #unfinished = new Set<Promise<void>>();
  #failure?: CalibrantError;

  constructor(lanes: number, start: (lane: number) => LanePort) {
    this.links = Array.from({ length: lanes }, (_, lane) => new LaneLink(lane, start(lane), (reply) => this.#onReply(lane, reply)));
    this.#tasks = new TaskPool(this.links);
    this.#modulesOnLane = this.links.map(() => new Set());
  }

  storage(spec: TensorSpec): SharedStorage {
    return new SharedStorage(spec, this.#memory);
  }

  /** Enqueues a call on the lane of its inputs. */
  runOnLane(lane: number, kernel: Kernel, plan: Plan, inputs: readonly (Buffer | undefined)[], outputs: readonly BufferHandle[]): void {
    if (plan.call.variant.kind === 'main') this.#asked.set(kernel.name, kernel);
    const storages = storagesOf(inputs);
    for (const storage of storages) {
      storage.readers++;
      storage.readByLane = true;
      storage.copies.add(lane);
    }
    this.links[lane].enqueue(() => {
      const operands = plan.inputs.map(({ name, role }, i): InputOperand | undefined => {
        const input = inputs[i];
        if (!input) return undefined;
        if (input.storage) return sharedOperand(name, role, input.storage);
        return { name, role, dtype: input.spec.dtype, shape: input.spec.shape, id: input.id };
      });
      const results = plan.outputs.map((operand, i): OutputOperand => ({ ...operand, id: outputs[i].id }));
      const call: Call = { ...plan.call, inputs: operands, outputs: results, start: 0, end: plan.rows };
      // What retires a copy must come after the call that makes it.
      if (storages.length > 0) queueMicrotask(() => this.#doneReading(storages));
      return [...this.#moduleFor(plan, lane), { op: 'run', call }];
    }, storages);
  }

  /** Runs a call on shared buffers, its rows dealt to all lanes, once the inputs are there. */
  runShared(kernel: Kernel, plan: Plan, inputs: readonly (Buffer | undefined)[], outputs: readonly SharedStorage[]): void {
    const storages = storagesOf(inputs);
    for (const storage of storages) storage.readers++;
    const work = new Promise<void>((resolve) => {
      const finish = (error?: CalibrantError) => {
        if (error) this.#failure ??= error;
        for (const output of outputs) this.settle(output, error);
        this.#doneReading(storages);
        resolve();
      };
      whenAllSettled(storages, () => {
        const failed = storages.find(({ error }) => error)?.error ?? allocationFailure(outputs);
        if (failed) return finish(failed);
        const done =
          plan.call.variant.kind === 'main'
            ? referenceInMain(
                kernel,
                plan,
                inputs.map((input) => input?.storage),
                outputs,
              ).catch((error) => Promise.reject(revive(plainError(error))))
            : this.#tasks.run(
                plan.chunks().map(([start, end]) => ({
                  commands: (lane, ticket): Command[] => [
                    ...this.#moduleFor(plan, lane),
                    { op: 'run', call: chunk(plan, inputs, outputs, lane, start, end, ticket) },
                  ],
                })),
              );
        done.then(() => finish(), finish);
      });
    });
    this.#track(work);
  }

  /** Copies a lane's buffer to shared storage. */
  share({ id, spec, lane }: Buffer): SharedStorage {
    const target = this.storage(spec);
    const { memory } = target;
    const link = this.links[lane!];
    const { ticket, reply } = link.ticket();
    link.enqueue(() => ({ op: 'share', id, memory, ticket }));
    this.#track(
      reply.then(
        () => this.settle(target),
        (error: CalibrantError) => this.settle(target, error),
      ),
    );
    return target;
  }

  /** A lane's own copy of a tensor; it travels by shared memory that is used again. */
  upload({ id, spec, lane }: Buffer, source: SharedStorage): void {
    const link = this.links[lane!];
    const { ticket, reply } = link.ticket();
    link.enqueue(() => ({ op: 'upload', id, dtype: spec.dtype, shape: spec.shape, memory: source.memory, ticket }));
    this.#track(
      reply.then(
        () => source.recycle(),
        () => {},
      ),
    );
  }

  settle(storage: SharedStorage, error?: CalibrantError): void {
    storage.settle(error);
    this.retire(storage);
  }

  /** Lets go of a storage that has no handle any more and nobody will read. */
  retire(storage: SharedStorage): void {
    if (storage.handles > 0 || storage.readers > 0 || storage.pending) return;
    for (const lane of storage.copies) this.links[lane].postNow({ op: 'drop', storages: [storage.id] });
    // Calls posted to a lane may still be about to copy it; then the collector takes the memory.
    if (!storage.readByLane) storage.recycle();
    storage.copies.clear();
  }

  /** Waits for everything enqueued so far; rejects with the first failure since the last time. */
  async sync(): Promise<void> {
    const fences = this.links.map((link) => {
      const { ticket, reply } = link.ticket();
      link.enqueue(() => ({ op: 'fence', ticket }));
      return reply;
    });
    await Promise.all([...fences, ...this.#unfinished]);
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure;
  }

  async close(): Promise<void> {
    await Promise.all(this.links.map((link) => link.close()));
  }

  #doneReading(storages: readonly SharedStorage[]): void {
    for (const storage of storages) {
      storage.readers--;
      this.retire(storage);
    }
  }

  #track(work: Promise<void>): void {
    this.#unfinished.add(work);
    void work.finally(() => this.#unfinished.delete(work));
  }

  #onReply(lane: number, reply: Exclude<Reply, { type: 'done' }>): void {
    if (reply.type === 'failed') this.#failure ??= revive(reply.error);
    else this.links[lane].postNow(answer(this.#asked.get(reply.call.kernel)!, reply.call, reply.inputs));
  }

  /** The command that brings a plug-in's module to a lane which does not have it. */
  #moduleFor({ module }: Plan, lane: number): Command[] {
    if (!module || this.#modulesOnLane[lane].has(module.id)) return [];
    this.#modulesOnLane[lane].add(module.id);
    return [{ op: 'module', module: module.id, base64: module.base64 }];
  }
}

/** Makes the memory of the outputs, which is when it may turn out that there is none. */
function allocationFailure(outputs: readonly SharedStorage[]): CalibrantError | undefined {
  try {
    for (const output of outputs) output.memory;
    return undefined;
  } catch (error) {
    return error as CalibrantError;
  }
}

function storagesOf(inputs: readonly (Buffer | undefined)[]): SharedStorage[] {
  return inputs.flatMap((input) => (input?.storage ? [input.storage] : []));
}

function sharedOperand(name: string, role: OperandRole, storage: SharedStorage): InputOperand {
  const { dtype, shape } = storage.spec;
  if (storage.error) return { name, role, dtype, shape, error: plainError(storage.error) };
  return { name, role, dtype, shape, storage: storage.id, memory: storage.memory };
}

/** The part of a call that computes the rows `[start, end)`. */
function chunk(
  plan: Plan,
  inputs: readonly (Buffer | undefined)[],
  outputs: readonly SharedStorage[],
  lane: number,
  start: number,
  end: number,
  ticket: number,
): Call {
  const rowsOf = ({ spec, bytes, memory }: SharedStorage) => ({
    shape: [end - start, ...spec.shape.slice(1)],
    memory,
    byteOffset: spec.shape[0] > 0 ? (bytes / spec.shape[0]) * start : 0,
  });
  const operands = plan.inputs.map(({ name, role }, i): InputOperand | undefined => {
    const storage = inputs[i]?.storage;
    if (!storage) return undefined;
    if (plan.split && role === 'rows') return { name, role, dtype: storage.spec.dtype, storage: storage.id, ...rowsOf(storage) };
    storage.copies.add(lane);
    return sharedOperand(name, role, storage);
  });
  const results = plan.outputs.map(
    (operand, i): OutputOperand =>
      plan.split ? { ...operand, ...rowsOf(outputs[i]) } : { ...operand, memory: outputs[i].memory, byteOffset: 0 },
  );
  return { ...plan.call, inputs: operands, outputs: results, start, end, ticket };
}
