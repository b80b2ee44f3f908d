/**
 * SIMD WebAssembly kernels, and lanes: worker queues with a memory of their own that run kernels.
 * @module
 */

export { Arena } from './arena.js';
export { Lane, type LaneBuffer, type LaneOptions, type NativeCall, type NativeOperations } from './lane.js';
export { createLaneBackend, type LaneBackendOptions } from './lane-backend.js';
export type { LanePort } from './lane-link.js';
export { serveLane } from './lane-worker.node.js';
export { LAYOUT_OPERATIONS } from './layout-operations.js';
export type { Command, Reply } from './protocol.js';
export { startWorkerLane } from './worker-lane.node.js';
