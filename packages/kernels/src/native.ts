import type { RowRange } from '@calibrant/core';
import type { LaneBuffer, LaneMemory } from './lane-memory.js';

/** One call of a native operation. */
export interface NativeCall {
  readonly lane: LaneMemory;
  readonly inputs: Readonly<Record<string, LaneBuffer | undefined>>;
  readonly outputs: Readonly<Record<string, LaneBuffer>>;
  readonly attributes: any;
  readonly range: RowRange;
}

/** A backend's own code for kernels, by the kernel's name. It fills the outputs, which are in the arena. */
export type NativeOperations = Readonly<Record<string, (call: NativeCall) => void | Promise<void>>>;
