import { CalibrantError, type TypedArray } from '@calibrant/core';
import { type Command, type Reply, revive } from './protocol.js';

/** A started worker, seen from the main thread. `@calibrant/kernels` makes one of Node's; a browser would wrap a `Worker`. */
export interface LanePort {
  post(commands: readonly Command[], transfer: readonly ArrayBuffer[]): void;
  onReplies(listener: (reply: Reply) => void): void;
  onFailure(listener: (error: CalibrantError) => void): void;
  /** Whether the worker may keep the process alive. */
  keepAlive(alive: boolean): void;
  close(): Promise<void>;
}

/** Something that a command must wait for. */
export interface Dependency {
  /** Undefined when it is there already. */
  readonly pending: boolean;
  whenSettled(listener: () => void): void;
}

interface Outgoing {
  /** Made when its turn comes, so that it can say what became of its dependencies. */
  readonly make: () => Command | readonly Command[];
  readonly dependencies: readonly Dependency[];
  readonly transfer?: readonly ArrayBuffer[];
}

/** Commands that are posted as one message at most: enough to hide the cost of a message, few enough to start early. */
const BATCH = 16;

/**
 * The main thread's end of one lane: keeps the order of commands, holds them back until shared buffers that they read are ready,
 * posts them in batches, and pairs replies with those who wait for them.
 */
export class LaneLink {
  readonly index: number;
  readonly #port: LanePort;
  readonly #waiting = new Map<number, { resolve: (data?: TypedArray) => void; reject: (error: CalibrantError) => void }>();
  readonly #held: Outgoing[] = [];
  #outbox: Command[] = [];
  #transfer: ArrayBuffer[] = [];
  #scheduled = false;
  #blocked = false;
  #nextTicket = 1;
  #broken?: CalibrantError;

  constructor(index: number, port: LanePort, onReply: (reply: Exclude<Reply, { type: 'done' }>) => void) {
    this.index = index;
    this.#port = port;
    port.onReplies((reply) => {
      if (reply.type !== 'done') return onReply(reply);
      const waiter = this.#waiting.get(reply.ticket);
      this.#waiting.delete(reply.ticket);
      if (this.#waiting.size === 0) port.keepAlive(false);
      if (reply.error) waiter?.reject(revive(reply.error));
      else waiter?.resolve(reply.data);
    });
    port.onFailure((error) => this.break(error));
  }

  /** Enqueues a command in the lane's order. */
  enqueue(make: Outgoing['make'], dependencies: readonly Dependency[] = [], transfer?: readonly ArrayBuffer[]): void {
    this.#held.push({ make, dependencies, transfer });
    if (!this.#blocked) this.#release();
  }

  /** Posts a command past those that are held back. It must not depend on them. */
  postNow(command: Command): void {
    this.#outbox.push(command);
    this.#schedule();
  }

  /** A ticket for a command, and the promise of its reply. */
  ticket(): { readonly ticket: number; readonly reply: Promise<TypedArray | undefined> } {
    const ticket = this.#nextTicket++;
    const reply = new Promise<TypedArray | undefined>((resolve, reject) => {
      if (this.#broken) return reject(this.#broken);
      if (this.#waiting.size === 0) this.#port.keepAlive(true);
      this.#waiting.set(ticket, { resolve, reject });
    });
    return { ticket, reply };
  }

  /** Fails everything that waits, now and later. */
  break(error: CalibrantError): void {
    this.#broken ??= error;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
  }

  async close(): Promise<void> {
    this.break(new CalibrantError('INVALID_ARGUMENT', 'The backend was closed.'));
    await this.#port.close();
  }

  #release(): void {
    this.#blocked = false;
    while (this.#held.length > 0) {
      const missing = this.#held[0].dependencies.find(({ pending }) => pending);
      if (missing) {
        this.#blocked = true;
        missing.whenSettled(() => this.#release());
        return;
      }
      const { make, transfer } = this.#held.shift()!;
      const made = make();
      if (Array.isArray(made)) this.#outbox.push(...made);
      else this.#outbox.push(made as Command);
      if (transfer) this.#transfer.push(...transfer);
      this.#schedule();
    }
  }

  #schedule(): void {
    if (this.#outbox.length >= BATCH) this.#flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      queueMicrotask(() => {
        this.#scheduled = false;
        this.#flush();
      });
    }
  }

  #flush(): void {
    if (this.#outbox.length === 0 || this.#broken) return;
    const [commands, transfer] = [this.#outbox, this.#transfer];
    this.#outbox = [];
    this.#transfer = [];
    this.#port.post(commands, transfer);
  }
}
