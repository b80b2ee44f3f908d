import { Worker } from 'node:worker_threads';
import { CalibrantError } from '@calibrant/core';
import type { LanePort } from './lane-link.js';

/** Starts a lane in a worker thread of Node. The thread does not keep the process alive unless somebody waits for it. */
export function startWorkerLane(file: URL, workerData?: unknown): LanePort {
  // Not the process's own flags: some, such as --input-type, are for its main module alone.
  const worker = new Worker(file, { workerData, execArgv: [] });
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
      if (alive) worker.ref();
      else worker.unref();
    },
    close: async () => {
      await worker.terminate();
    },
  };
}
