import { parentPort } from 'node:worker_threads';
import { CORE_KERNELS } from './core-variants.js';
import { Lane } from './lane.js';
import type { NativeOperations } from './native.js';
import type { Command, Reply } from './protocol.js';

/** Makes the calling worker thread a lane. A backend's worker file calls this with its native operations. */
export function serveLane(natives: NativeOperations): void {
  const port = parentPort;
  if (!port) throw new Error('serveLane must be called in a worker thread.');
  const post = (reply: Reply, transfer?: ArrayBuffer[]) => port.postMessage(reply, transfer);
  const lane = new Lane({ natives, references: CORE_KERNELS, post });
  port.on('message', (commands: readonly Command[]) => lane.receive(commands));
}
