/**
 * SIMD WebAssembly kernels, and lanes: worker queues with a memory of their own that run kernels.
 * @module
 */

export { Arena } from './arena.js';
export { Lane, type LaneOptions } from './lane.js';
export { createLaneBackend, type LaneBackendOptions } from './lane-backend.js';
export type { LanePort } from './lane-link.js';
export { type LaneBuffer, LaneMemory } from './lane-memory.js';
export { serveLane } from './lane-worker.node.js';
export { LAYOUT_OPERATIONS } from './layout-operations.js';
export type { NativeCall, NativeOperations } from './native.js';
export type { Command, Reply } from './protocol.js';
export { startWorkerLane } from './worker-lane.node.js';
