import { Worker } from 'node:worker_threads';
import { CalibrantError } from '@calibrant/core';
import type { LanePort } from './lane-link.js';

/** What a lane's worker file finds in `workerData` beside what its backend put there. */
export interface LaneWorkerData {
  /** Not 0 once the lane is to begin no further command. */
  readonly stop: Int32Array;
}

/**
 * Starts a lane in a worker thread of Node. The thread does not keep the process alive unless somebody waits for it.
 *
 * `close` lets the thread end by itself after the command that it is at: a thread that is terminated inside a native library's call takes the whole process with it.
 *
 * @param workerData what the worker file needs to know
 */
export function startWorkerLane(file: URL, workerData: object = {}): LanePort {
  const stop = new Int32Array(new SharedArrayBuffer(4));
  // Not the process's own flags: some, such as --input-type, are for its main module alone.
  const worker = new Worker(file, { workerData: { ...workerData, stop } satisfies LaneWorkerData, execArgv: [] });
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.unref();
  return {
    post: (commands, transfer) => worker.postMessage(commands, transfer),
    onReplies: (listener) => {
      worker.on('message', listener);
      worker.unref();
    },
    onFailure: (listener) => {
      worker.on('error', (cause: Error & { code?: string }) => {
        const code = cause.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'OUT_OF_MEMORY' : 'UNSUPPORTED';
        listener(new CalibrantError(code, `A lane's worker thread ended: ${cause.message}`, { cause }));
      });
      worker.on('exit', (status) => listener(new CalibrantError('UNSUPPORTED', `A lane's worker thread ended with status ${status}.`)));
    },
    keepAlive: (alive) => {
      // Once closed, whoever closes it waits for it.
      if (alive || stop[0]) worker.ref();
      else worker.unref();
    },
    close: () => {
      worker.ref();
      Atomics.store(stop, 0, 1);
      worker.postMessage([]);
      return ended;
    },
  };
}
