import { type DType, dtypeInfo, elementCount, type Tensor, type TypedArray } from '@calibrant/core';
import { Arena } from './arena.js';
import { wasmModule } from './generated/wasm.js';
import { createMemory, instantiate, type WasmExports, type WasmMemory } from './wasm-runtime.js';

/** A tensor on a lane: in the lane's arena (`address`), or in memory outside it (`external`). */
export interface LaneBuffer {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly address: number;
  readonly external?: TypedArray;
}

/** What native operations work with: a lane's arena, its buffers, and the SIMD kernels over the same memory. */
export class LaneMemory {
  readonly memory: WasmMemory = createMemory(64);
  /** The functions of this package's module; they read and write the arena in place. */
  readonly wasm: WasmExports = instantiate(wasmModule.base64, this.memory);
  readonly arena = new Arena(this.memory, this.wasm.heapBase());

  /** A new buffer in the arena. Its contents are undefined. */
  create(dtype: DType, shape: readonly number[]): LaneBuffer {
    return { dtype, shape, address: this.arena.allocate(elementCount(shape) * dtypeInfo(dtype).bytes) };
  }

  /** A new buffer in the arena with a copy of the values. */
  copyIn(dtype: DType, shape: readonly number[], values: TypedArray): LaneBuffer {
    const buffer = this.create(dtype, shape);
    this.view(buffer).set(values as never);
    return buffer;
  }

  release(buffer: LaneBuffer): void {
    if (!buffer.external) this.arena.release(buffer.address);
  }

  /** The elements of a buffer, without a copy; valid until the next allocation. */
  view(buffer: LaneBuffer): TypedArray {
    return buffer.external ?? new (dtypeInfo(buffer.dtype).array)(this.memory.buffer, buffer.address, elementCount(buffer.shape));
  }

  tensor(buffer: LaneBuffer): Tensor {
    return { dtype: buffer.dtype, shape: buffer.shape, data: this.view(buffer) };
  }
}
