import { parentPort, workerData } from 'node:worker_threads';
import { CORE_KERNELS } from './core-variants.js';
import { Lane } from './lane.js';
import type { NativeOperations } from './native.js';
import type { Command, Reply } from './protocol.js';
import type { LaneWorkerData } from './worker-lane.node.js';

/** Makes the calling worker thread a lane. A backend's worker file calls this with its native operations. */
export function serveLane(natives: NativeOperations): void {
  const port = parentPort;
  if (!port) throw new Error('serveLane must be called in a worker thread.');
  const post = (reply: Reply, transfer?: ArrayBuffer[]) => port.postMessage(reply, transfer);
  const { stop } = workerData as LaneWorkerData;
  const stopped = () => Atomics.load(stop, 0) !== 0;
  const lane = new Lane({ natives, references: CORE_KERNELS, post, stopped });
  port.on('message', (commands: readonly Command[]) => {
    // Nothing else keeps the thread alive.
    if (stopped()) port.close();
    else lane.receive(commands);
  });
}
