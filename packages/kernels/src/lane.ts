import {
  CalibrantError,
  type DType,
  dtypeInfo,
  elementCount,
  type Kernel,
  type RowRange,
  type Tensor,
  type TypedArray,
} from '@calibrant/core';
import { Arena } from './arena.js';
import { wasmModule } from './generated/wasm.js';
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
import { createMemory, instantiate, type WasmExports } from './wasm-runtime.js';

/** A tensor on a lane: in the lane's arena (`address`), or in memory of its own that only natives read in place (`external`). */
export interface LaneBuffer {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly address: number;
  readonly external?: TypedArray;
}

/** One call of a native operation. Views are valid until the next allocation. */
export interface NativeCall {
  readonly lane: Lane;
  readonly inputs: Readonly<Record<string, LaneBuffer | undefined>>;
  readonly outputs: Readonly<Record<string, LaneBuffer>>;
  readonly attributes: any;
  readonly range: RowRange;
}

/** A backend's own code for a kernel, by the kernel's name. */
export type NativeOperations = Readonly<Record<string, (call: NativeCall) => void | Promise<void>>>;

export interface LaneOptions {
  readonly natives: NativeOperations;
  /** Kernels whose plain reference the lane can run by itself. */
  readonly references: readonly Kernel<any, any, any>[];
  readonly post: (reply: Reply, transfer?: ArrayBuffer[]) => void;
}

/** Uploads up to this size go into the arena at once; larger ones stay where they arrived, and are copied in only for kernels that need it. */
const ARENA_UPLOAD = 1 << 20;

/** One queue of work with its own memory. Runs in a worker; see `createLaneBackend` for the other end. */
export class Lane {
  readonly memory = createMemory(64);
  readonly wasm: WasmExports;
  readonly arena: Arena;
  readonly #options: LaneOptions;
  readonly #references: ReadonlyMap<string, Kernel<any, any, any>>;
  readonly #buffers = new Map<number, LaneBuffer | PlainError>();
  /** Private copies of shared buffers. */
  readonly #copies = new Map<number, LaneBuffer>();
  readonly #modules = new Map<string, string | PluginModule>();
  readonly #queue: Command[] = [];
  #running = false;
  #answer?: (answer: Extract<Command, { op: 'answer' }>) => void;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#references = new Map(options.references.map((kernel) => [kernel.name, kernel]));
    this.wasm = instantiate(wasmModule.base64, this.memory);
    this.arena = new Arena(this.memory, this.wasm.heapBase());
  }

  /** Takes commands from the main thread, in order. */
  receive(commands: readonly Command[]): void {
    for (const command of commands)
      if (command.op === 'answer') this.#answer?.(command);
      else this.#queue.push(command);
    if (!this.#running) void this.#drain();
  }

  /** The elements of a buffer, without a copy. */
  view(buffer: LaneBuffer): TypedArray {
    const { array } = dtypeInfo(buffer.dtype);
    return buffer.external ?? new array(this.memory.buffer, buffer.address, elementCount(buffer.shape));
  }

  async #drain(): Promise<void> {
    this.#running = true;
    for (let i = 0; i < this.#queue.length; i++) {
      const pending = this.#execute(this.#queue[i]);
      if (pending) await pending;
      if (i > 1000) {
        this.#queue.splice(0, i + 1);
        i = -1;
      }
    }
    this.#queue.length = 0;
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
        for (const id of command.ids) {
          this.#release(this.#buffers.get(id));
          this.#buffers.delete(id);
        }
        return;
      case 'drop':
        for (const storage of command.storages) {
          this.#release(this.#copies.get(storage));
          this.#copies.delete(storage);
        }
        return;
      case 'share':
        return this.#reply(command.ticket, () => {
          const source = this.#read(command.id);
          bytesOf(command.memory).set(this.#bytes(source));
        });
      case 'download':
        return this.#reply(command.ticket, () => this.view(this.#read(command.id)).slice());
      case 'fence':
        return this.#reply(command.ticket, () => {});
    }
  }

  #reply(ticket: number, body: () => TypedArray | void): void {
    try {
      const data = body();
      this.#options.post({ type: 'done', ticket, data: data ?? undefined }, data ? [data.buffer as ArrayBuffer] : undefined);
    } catch (error) {
      this.#options.post({ type: 'done', ticket, error: plainError(error) });
    }
  }

  #upload({ id, dtype, shape, data }: Extract<Command, { op: 'upload' }>): void {
    if (data.byteLength > ARENA_UPLOAD) this.#buffers.set(id, { dtype, shape, address: 0, external: data });
    else
      try {
        this.#buffers.set(id, { dtype, shape, address: this.#copyIn(data) });
      } catch (error) {
        this.#fail([id], error);
      }
  }

  #fail(ids: readonly number[], error: unknown): PlainError {
    const plain = plainError(error);
    for (const id of ids) this.#buffers.set(id, plain);
    if (ids.length > 0) this.#options.post({ type: 'failed', ids, error: plain });
    return plain;
  }

  #run(call: Call): void | Promise<void> {
    const temporary: LaneBuffer[] = [];
    const outputs: LaneBuffer[] = [];
    const settle = (error?: unknown) => {
      for (const buffer of temporary) this.#release(buffer);
      if (error === undefined) {
        call.outputs.forEach((output, i) => this.#deliver(output, outputs[i]));
        if (call.ticket !== undefined) this.#options.post({ type: 'done', ticket: call.ticket });
        return;
      }
      for (const buffer of outputs) this.#release(buffer);
      const plain = this.#fail(
        call.outputs.flatMap(({ id }) => (id === undefined ? [] : [id])),
        error,
      );
      if (call.ticket !== undefined) this.#options.post({ type: 'done', ticket: call.ticket, error: plain });
    };
    try {
      const inputs = call.inputs.map((input) => input && this.#input(input, temporary, call.variant));
      for (const { dtype, shape } of call.outputs) outputs.push(this.create(dtype, shape));
      const pending = this.#compute(call, inputs, outputs);
      if (pending) return pending.then(() => settle(), settle);
      settle();
    } catch (error) {
      settle(error);
    }
  }

  #compute(call: Call, inputs: (LaneBuffer | undefined)[], outputs: LaneBuffer[]): void | Promise<void> {
    const { variant, attributes } = call;
    const range = { start: call.start, end: call.end };
    if (variant.kind === 'native') {
      const native = this.#options.natives[call.kernel];
      return native({ lane: this, inputs: named(call.inputs, inputs), outputs: named(call.outputs, outputs), attributes, range });
    }
    if (variant.kind === 'wasm') return this.#callWasm(call, variant, inputs, outputs);
    if (variant.kind === 'reference') {
      const kernel = this.#references.get(call.kernel)!;
      const tensors = named(
        call.inputs,
        inputs.map((buffer) => buffer && this.#tensor(buffer)),
      );
      const results = kernel.reference(tensors as never, attributes, range);
      call.outputs.forEach(({ name }, i) => this.view(outputs[i]).set(results[name].data as never));
      return;
    }
    return this.#askMain(call, inputs, outputs);
  }

  #callWasm(
    call: Call,
    variant: Extract<Call['variant'], { kind: 'wasm' }>,
    inputs: (LaneBuffer | undefined)[],
    outputs: LaneBuffer[],
  ): void {
    if (variant.module !== wasmModule.id) {
      let module = this.#modules.get(variant.module)!;
      if (typeof module === 'string') {
        module = pluginModule(variant.module, module);
        this.#modules.set(variant.module, module);
      }
      module.call(this, call, variant, inputs, outputs);
      return;
    }
    const borrowed: number[] = [];
    const addresses = inputs.map((buffer) => {
      if (!buffer) return 0;
      if (!buffer.external) return buffer.address;
      borrowed.push(this.#copyIn(buffer.external));
      return borrowed[borrowed.length - 1];
    });
    try {
      this.wasm[variant.function](call.end - call.start, ...addresses, ...outputs.map(({ address }) => address), ...variant.scalars);
    } finally {
      for (const address of borrowed) this.arena.release(address);
    }
  }

  /** The queue waits here, so that what follows sees the outputs. */
  async #askMain(call: Call, inputs: (LaneBuffer | undefined)[], outputs: LaneBuffer[]): Promise<void> {
    const copies = inputs.map((buffer) => buffer && this.view(buffer).slice());
    const answer = await new Promise<Extract<Command, { op: 'answer' }>>((resolve) => {
      this.#answer = resolve;
      this.#options.post({ type: 'ask', call, inputs: copies });
    });
    if (answer.error) throw revive(answer.error);
    outputs.forEach((output, i) => this.view(output).set(answer.outputs![i] as never));
  }

  #input(operand: InputOperand, temporary: LaneBuffer[], variant: Call['variant']): LaneBuffer {
    if (operand.error) throw revive(operand.error);
    if (operand.id !== undefined) return this.#read(operand.id);
    const { dtype, shape, storage, memory, byteOffset } = operand;
    const copy = this.#copies.get(storage!);
    if (copy) return copy;
    const { array } = dtypeInfo(dtype);
    const source = new array(memory!, byteOffset ?? 0, elementCount(shape));
    // A plug-in's module copies operands into its own memory, and does so straight from shared memory.
    if (variant.kind === 'wasm' && variant.module !== wasmModule.id) return { dtype, shape, address: 0, external: source };
    const buffer: LaneBuffer =
      source.byteLength > ARENA_UPLOAD && byteOffset === undefined
        ? { dtype, shape, address: 0, external: source.slice() }
        : { dtype, shape, address: this.#copyIn(source) };
    if (byteOffset === undefined) this.#copies.set(storage!, buffer);
    else temporary.push(buffer);
    return buffer;
  }

  #deliver(output: OutputOperand, buffer: LaneBuffer): void {
    if (output.id !== undefined) {
      this.#buffers.set(output.id, buffer);
      return;
    }
    const source = this.#bytes(buffer);
    bytesOf(output.memory!).set(source, output.byteOffset);
    this.#release(buffer);
  }

  /** A new buffer in the arena; its contents are undefined. Natives that make temporaries hand them back by `discard`. */
  create(dtype: DType, shape: readonly number[]): LaneBuffer {
    return { dtype, shape, address: this.arena.allocate(elementCount(shape) * dtypeInfo(dtype).bytes) };
  }

  discard(...buffers: LaneBuffer[]): void {
    for (const buffer of buffers) this.#release(buffer);
  }

  #copyIn(data: TypedArray): number {
    const address = this.arena.allocate(data.byteLength);
    new Uint8Array(this.memory.buffer, address, data.byteLength).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return address;
  }

  #bytes(buffer: LaneBuffer): Uint8Array {
    const view = this.view(buffer);
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  }

  #tensor(buffer: LaneBuffer): Tensor {
    return { dtype: buffer.dtype, shape: buffer.shape, data: this.view(buffer) };
  }

  #read(id: number): LaneBuffer {
    const found = this.#buffers.get(id);
    if (!found) throw new CalibrantError('INVALID_ARGUMENT', `Buffer ${id} is not on this lane.`);
    if ('code' in found) throw revive(found);
    return found;
  }

  #release(buffer: LaneBuffer | PlainError | undefined): void {
    if (buffer && 'address' in buffer && !buffer.external) this.arena.release(buffer.address);
  }
}

function named<T>(operands: readonly ({ readonly name: string } | undefined)[], values: readonly T[]): Record<string, T> {
  const result: Record<string, T> = {};
  operands.forEach((operand, i) => {
    if (operand) result[operand.name] = values[i];
  });
  return result;
}

function bytesOf(memory: SharedArrayBuffer): Uint8Array {
  return new Uint8Array(memory);
}
