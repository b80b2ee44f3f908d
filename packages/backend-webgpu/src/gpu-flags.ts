/** Bit values that the WebGPU specification fixes; in Node they are no globals. */
export const BUFFER_USAGE = { mapRead: 0x1, mapWrite: 0x2, copySrc: 0x4, copyDst: 0x8, uniform: 0x40, storage: 0x80 } as const;
export const MAP_MODE = { read: 0x1, write: 0x2 } as const;
export const STAGE_COMPUTE = 0x4;
