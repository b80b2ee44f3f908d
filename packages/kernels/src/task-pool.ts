import type { CalibrantError } from '@calibrant/core';
import type { LaneLink } from './lane-link.js';
import type { Command } from './protocol.js';

/** A unit of work that any lane can do. */
export interface Task {
  /** The commands for a lane; the last one must answer the ticket. */
  commands(lane: number, ticket: number): readonly Command[];
}

interface Queued {
  readonly task: Task;
  readonly done: (error?: CalibrantError) => void;
}

/** One running and one waiting, so that a lane never idles for a message's way. */
const DEPTH = 2;

/** Deals tasks to lanes as they become free, first come, first served. */
export class TaskPool {
  readonly #links: readonly LaneLink[];
  readonly #load: number[];
  readonly #queue: Queued[] = [];

  constructor(links: readonly LaneLink[]) {
    this.#links = links;
    this.#load = links.map(() => 0);
  }

  /** Resolves when all are done; rejects with the first error, also only then. */
  run(tasks: readonly Task[]): Promise<void> {
    return new Promise((resolve, reject) => {
      let open = tasks.length;
      let failure: CalibrantError | undefined;
      const done = (error?: CalibrantError) => {
        failure ??= error;
        if (--open > 0) return;
        if (failure) reject(failure);
        else resolve();
      };
      for (const task of tasks) this.#queue.push({ task, done });
      if (tasks.length === 0) resolve();
      this.#deal();
    });
  }

  #deal(): void {
    while (this.#queue.length > 0) {
      const lane = this.#load.indexOf(Math.min(...this.#load));
      if (this.#load[lane] >= DEPTH) return;
      const { task, done } = this.#queue.shift()!;
      const link = this.#links[lane];
      const { ticket, reply } = link.ticket();
      this.#load[lane]++;
      const finish = (error?: CalibrantError) => {
        this.#load[lane]--;
        done(error);
        this.#deal();
      };
      reply.then(() => finish(), finish);
      for (const command of task.commands(lane, ticket)) link.postNow(command);
    }
  }
}
