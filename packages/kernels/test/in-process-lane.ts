import { CORE_KERNELS } from '../src/core-variants.js';
import { Lane } from '../src/lane.js';
import type { LanePort } from '../src/lane-link.js';
import { LAYOUT_OPERATIONS } from '../src/layout-operations.js';
import type { Command, Reply } from '../src/protocol.js';

/** A lane in the calling thread whose messages are cloned as a worker's are: what a browser without workers could do. */
export function inProcessLane(): LanePort {
  let listener: (reply: Reply) => void = () => {};
  let open = true;
  const lane = new Lane({
    natives: LAYOUT_OPERATIONS,
    references: CORE_KERNELS,
    post: (reply, transfer) => {
      const cloned = structuredClone(reply, { transfer });
      setImmediate(() => open && listener(cloned));
    },
  });
  return {
    post: (commands, transfer) => {
      const cloned = structuredClone(commands, { transfer: [...transfer] }) as readonly Command[];
      setImmediate(() => open && lane.receive(cloned));
    },
    onReplies: (to) => {
      listener = to;
    },
    onFailure: () => {},
    keepAlive: () => {},
    close: async () => {
      open = false;
    },
  };
}
