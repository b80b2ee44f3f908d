import { CalibrantError, dtypeInfo, elementCount } from '@calibrant/core';
import type { Lane, LaneBuffer } from './lane.js';
import type { Call, InputOperand, OutputOperand } from './protocol.js';
import { createMemory, instantiate, PAGE, type WasmMemory } from './wasm-runtime.js';

/** A plug-in's WebAssembly module on a lane. */
export interface PluginModule {
  call(
    lane: Lane,
    call: Call,
    variant: Extract<Call['variant'], { kind: 'wasm' }>,
    inputs: readonly (LaneBuffer | undefined)[],
    outputs: readonly LaneBuffer[],
  ): void;
}

/**
 * Instantiates a plug-in's module with a memory of its own. A call goes through it in units of the kernel's `chunkRows`, so that the memory
 * holds the `whole` operands and one chunk of the others. `whole` operands stay there as long as calls of the module bring the same ones,
 * which is what happens when a kernel is dealt out in chunks.
 */
export function pluginModule(id: string, base64: string): PluginModule {
  const memory = createMemory(16);
  const exports = instantiate(base64, memory);
  if (!exports.heapBase)
    throw new CalibrantError('INVALID_ARGUMENT', `The WebAssembly module ${id} does not export heapBase(): build it with calibrant-wasm.`);
  const base = Math.ceil(exports.heapBase() / 64) * 64;
  /** Which whole operands lie where. */
  let resident: string | undefined;

  return {
    call(lane, call, variant, inputs, outputs) {
      const kernelFunction = exports[variant.function];
      if (!kernelFunction)
        throw new CalibrantError('INVALID_ARGUMENT', `The WebAssembly module ${id} exports no function ${variant.function}.`);
      const total = call.end - call.start;
      const unit = call.chunkRows > 0 ? Math.min(call.chunkRows, total) : total;
      let end = base;
      const place = (bytes: number) => {
        const address = end;
        end = Math.ceil((end + bytes) / 64) * 64;
        return address;
      };
      const cut = (operand: InputOperand | OutputOperand, rowCount: number) =>
        operand.role === 'rows' && call.chunkRows > 0 ? [rowCount, ...operand.shape.slice(1)] : operand.shape;
      const size = (operand: InputOperand | OutputOperand, rowCount: number) =>
        elementCount(cut(operand, rowCount)) * dtypeInfo(operand.dtype).bytes;
      // Whole operands first, so that their addresses do not depend on the length of the chunk.
      const addresses = new Map<InputOperand | OutputOperand, number>();
      const all = [...call.inputs, ...call.outputs].filter((operand) => operand !== undefined);
      const ordered = [...all.filter((operand) => operand.role === 'whole'), ...all.filter((operand) => operand.role === 'rows')];
      for (const operand of ordered) addresses.set(operand, place(size(operand, unit)));
      ensure(memory, end, id);
      const wholes = call.inputs.map((operand) => (operand?.role === 'whole' ? operand : undefined));
      const key = wholes.map((operand) => operand && `${operand.id ?? `s${operand.storage}`}@${addresses.get(operand)}`).join();
      const write = (operand: InputOperand, buffer: LaneBuffer, from: number, rowCount: number) => {
        const view = lane.view(buffer);
        const offset = operand.role === 'rows' && call.chunkRows > 0 ? from * elementCount(operand.shape.slice(1)) : 0;
        const part = view.subarray(offset, offset + elementCount(cut(operand, rowCount)));
        const { array } = dtypeInfo(operand.dtype);
        new array(memory.buffer, addresses.get(operand)!, part.length).set(part as never);
      };
      if (resident !== key) wholes.forEach((operand, i) => operand && write(operand, inputs[i]!, 0, unit));
      resident = key;
      for (let from = 0; from < total || from === 0; from += unit || 1) {
        const rowCount = Math.min(unit, total - from);
        call.inputs.forEach((operand, i) => operand?.role === 'rows' && write(operand, inputs[i]!, from, rowCount));
        kernelFunction(
          rowCount,
          ...call.inputs.map((operand) => (operand ? addresses.get(operand)! : 0)),
          ...call.outputs.map((operand) => addresses.get(operand)!),
          ...variant.scalars,
        );
        call.outputs.forEach((operand, i) => {
          const offset = operand.role === 'rows' && call.chunkRows > 0 ? from * elementCount(operand.shape.slice(1)) : 0;
          const { array } = dtypeInfo(operand.dtype);
          const part = new array(memory.buffer, addresses.get(operand)!, elementCount(cut(operand, rowCount)));
          lane.view(outputs[i]).set(part as never, offset);
        });
      }
    },
  };
}

function ensure(memory: WasmMemory, bytes: number, id: string): void {
  const missing = bytes - memory.buffer.byteLength;
  if (missing <= 0) return;
  try {
    memory.grow(Math.ceil(missing / PAGE));
  } catch (cause) {
    throw new CalibrantError(
      'OUT_OF_MEMORY',
      `A call of the WebAssembly module ${id} needs ${bytes} bytes; a module's memory holds at most 4 GiB.`,
      {
        cause,
      },
    );
  }
}
