import { CalibrantError, dtypeInfo, elementCount, type Kernel, type TypedArray } from '@calibrant/core';
import { runCall } from './call.js';
import { type LaneBuffer, LaneMemory } from './lane-memory.js';
import { LAYOUT_OPERATIONS } from './layout-operations.js';
import type { NativeOperations } from './native.js';
import { type PluginModule, pluginModule } from './plugin-module.js';
import {
  type Call,
  type Command,
  type InputOperand,
  type OutputOperand,
  type PlainError,
  plainError,
  type Reply,
  revive,
} from './protocol.js';

export interface LaneOptions {
  readonly natives: NativeOperations;
  /** Kernels whose plain reference the lane can run by itself. */
  readonly references: readonly Kernel<any, any, any>[];
  readonly post: (reply: Reply, transfer?: ArrayBuffer[]) => void;
  /** Whether the lane is to begin no further command. Default: never. */
  readonly stopped?: () => boolean;
}

type Answer = Extract<Command, { op: 'answer' }>;

/** One queue of work with its own memory. Runs in a worker; {@link createLaneBackend} makes the other end. */
export class Lane {
  readonly memory = new LaneMemory();
  readonly natives: NativeOperations;
  readonly references: ReadonlyMap<string, Kernel<any, any, any>>;
  readonly #post: LaneOptions['post'];
  readonly #stopped: () => boolean;
  readonly #buffers = new Map<number, LaneBuffer | PlainError>();
  /** Private copies of shared buffers. */
  readonly #copies = new Map<number, LaneBuffer>();
  readonly #modules = new Map<string, string | PluginModule>();
  #queue: Command[] = [];
  #running = false;
  #answer?: (answer: Answer) => void;

  constructor({ natives, references, post, stopped = () => false }: LaneOptions) {
    this.natives = natives;
    this.references = new Map(references.map((kernel) => [kernel.name, kernel]));
    this.#post = post;
    this.#stopped = stopped;
  }

  /** Takes commands from the main thread, in order. */
  receive(commands: readonly Command[]): void {
    for (const command of commands)
      if (command.op === 'answer') this.#answer?.(command);
      else this.#queue.push(command);
    if (!this.#running) void this.#drain();
  }

  /** A plug-in's module, compiled when it is first used. */
  module(id: string): PluginModule {
    let found = this.#modules.get(id);
    if (found === undefined) throw new CalibrantError('INVALID_ARGUMENT', `The WebAssembly module ${id} is not on this lane.`);
    if (typeof found === 'string') {
      found = pluginModule(id, found);
      this.#modules.set(id, found);
    }
    return found;
  }

  /** Has the main thread compute a call. The queue waits, so that what follows sees the outputs. */
  async askMain(call: Call, inputs: readonly (TypedArray | undefined)[]): Promise<readonly TypedArray[]> {
    const answer = await new Promise<Answer>((resolve) => {
      this.#answer = resolve;
      this.#post({ type: 'ask', call, inputs });
    });
    if (answer.error) throw revive(answer.error);
    return answer.outputs!;
  }

  async #drain(): Promise<void> {
    this.#running = true;
    while (this.#queue.length > 0) {
      const commands = this.#queue;
      this.#queue = [];
      for (const command of commands) {
        if (this.#stopped()) return;
        const pending = this.#execute(command);
        if (pending) await pending;
      }
    }
    this.#running = false;
  }

  #execute(command: Command): void | Promise<void> {
    switch (command.op) {
      case 'run':
        return this.#run(command.call);
      case 'upload':
        return this.#upload(command);
      case 'module':
        this.#modules.set(command.module, command.base64);
        return;
      case 'free':
        return this.#forget(this.#buffers, command.ids);
      case 'drop':
        return this.#forget(this.#copies, command.storages);
      case 'share':
        return this.#reply(command.ticket, () => {
          const source = this.memory.view(this.#read(command.id));
          new Uint8Array(command.memory).set(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
          return undefined;
        });
      case 'download':
        return this.#reply(command.ticket, () => this.memory.view(this.#read(command.id)).slice());
      case 'fence':
        return this.#reply(command.ticket, () => undefined);
    }
  }

  #reply(ticket: number, body: () => TypedArray | undefined): void {
    try {
      const data = body();
      this.#post({ type: 'done', ticket, data }, data && [data.buffer as ArrayBuffer]);
    } catch (error) {
      this.#post({ type: 'done', ticket, error: plainError(error) });
    }
  }

  #upload({ id, dtype, shape, data, memory, ticket }: Extract<Command, { op: 'upload' }>): void {
    const values = data ?? new (dtypeInfo(dtype).array)(memory!, 0, elementCount(shape));
    try {
      this.#buffers.set(id, this.memory.copyIn(dtype, shape, values));
    } catch (error) {
      this.#fail([id], error);
    }
    if (ticket !== undefined) this.#post({ type: 'done', ticket });
  }

  #run(call: Call): void | Promise<void> {
    const borrowed: LaneBuffer[] = [];
    const outputs: LaneBuffer[] = [];
    const succeed = () => {
      for (const buffer of borrowed) this.memory.release(buffer);
      for (let i = 0; i < outputs.length; i++) this.#deliver(call.outputs[i], outputs[i]);
      if (call.ticket !== undefined) this.#post({ type: 'done', ticket: call.ticket });
    };
    const fail = (error: unknown) => {
      for (const buffer of [...borrowed, ...outputs]) this.memory.release(buffer);
      const plain = this.#fail(
        call.outputs.flatMap(({ id }) => (id === undefined ? [] : [id])),
        error,
      );
      if (call.ticket !== undefined) this.#post({ type: 'done', ticket: call.ticket, error: plain });
    };
    try {
      const inputs = call.inputs.map((input) => input && this.#input(input, call, borrowed));
      for (const { dtype, shape } of call.outputs) outputs.push(this.memory.create(dtype, shape));
      const pending = runCall(this, call, inputs, outputs);
      if (pending) return pending.then(succeed, fail);
      succeed();
    } catch (error) {
      fail(error);
    }
  }

  #input(operand: InputOperand, call: Call, borrowed: LaneBuffer[]): LaneBuffer {
    if (operand.error) throw revive(operand.error);
    if (operand.id !== undefined) return this.#read(operand.id);
    const { dtype, shape, storage, memory, byteOffset } = operand;
    const values = new (dtypeInfo(dtype).array)(memory!, byteOffset ?? 0, elementCount(shape));
    if (readsSharedMemory(call)) return { dtype, shape, address: 0, external: values };
    if (byteOffset !== undefined) {
      const part = this.memory.copyIn(dtype, shape, values);
      borrowed.push(part);
      return part;
    }
    const copy = this.#copies.get(storage!) ?? this.memory.copyIn(dtype, shape, values);
    this.#copies.set(storage!, copy);
    return copy;
  }

  #deliver(output: OutputOperand, buffer: LaneBuffer): void {
    if (output.id !== undefined) {
      this.#buffers.set(output.id, buffer);
      return;
    }
    const source = this.memory.view(buffer);
    new Uint8Array(output.memory!).set(new Uint8Array(source.buffer, source.byteOffset, source.byteLength), output.byteOffset);
    this.memory.release(buffer);
  }

  #read(id: number): LaneBuffer {
    const found = this.#buffers.get(id);
    if (!found) throw new CalibrantError('INVALID_ARGUMENT', `Buffer ${id} is not on this lane.`);
    if ('code' in found) throw revive(found);
    return found;
  }

  #fail(ids: readonly number[], error: unknown): PlainError {
    const plain = plainError(error);
    for (const id of ids) this.#buffers.set(id, plain);
    if (ids.length > 0) this.#post({ type: 'failed', ids, error: plain });
    return plain;
  }

  #forget(held: Map<number, LaneBuffer | PlainError>, ids: readonly number[]): void {
    for (const id of ids) {
      const buffer = held.get(id);
      if (buffer && !('code' in buffer)) this.memory.release(buffer);
      held.delete(id);
    }
  }
}

/** Copying rows works from shared memory; a plug-in's module copies operands into its own memory, straight from there. */
function readsSharedMemory({ kernel, variant }: Call): boolean {
  return variant.kind === 'native' ? kernel in LAYOUT_OPERATIONS : variant.kind === 'wasm' && variant.module !== undefined;
}
