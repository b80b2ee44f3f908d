import { CalibrantError, dtypeInfo, elementCount } from '@calibrant/core';
import type { LaneBuffer, LaneMemory } from './lane-memory.js';
import type { Call, InputOperand, OutputOperand } from './protocol.js';
import { createMemory, instantiate, PAGE, type WasmMemory } from './wasm-runtime.js';

type WasmCall = Extract<Call['variant'], { kind: 'wasm' }>;
type Operand = InputOperand | OutputOperand;

/** A plug-in's WebAssembly module on a lane. */
export interface PluginModule {
  call(lane: LaneMemory, call: Call, variant: WasmCall, inputs: readonly (LaneBuffer | undefined)[], outputs: readonly LaneBuffer[]): void;
}

/**
 * Instantiates a plug-in's module with a memory of its own. A call goes through it in units of the kernel's `chunkRows`, so that the memory
 * holds the `whole` operands and one chunk of the others. `whole` inputs stay there as long as calls of the module bring the same ones,
 * which is what happens when a kernel is dealt out in chunks.
 */
export function pluginModule(id: string, base64: string): PluginModule {
  const memory = createMemory(64);
  const exports = instantiate(base64, memory);
  if (!exports.heapBase)
    throw new CalibrantError('INVALID_ARGUMENT', `The WebAssembly module ${id} does not export heapBase(): build it with calibrant-wasm.`);
  const base = exports.heapBase();
  /** Which whole inputs lie where. */
  let resident = '';

  return {
    call(lane, call, variant, inputs, outputs) {
      const kernel = exports[variant.function];
      if (!kernel) throw new CalibrantError('INVALID_ARGUMENT', `The WebAssembly module ${id} exports no function ${variant.function}.`);
      const rows = call.end - call.start;
      const unit = call.chunkRows > 0 ? Math.min(call.chunkRows, rows) : rows;
      const { addresses, end } = layOut(call, unit, base);
      ensure(memory, end, id);
      const at = (operand: Operand | undefined) => (operand ? addresses.get(operand)! : 0);
      const write = (operand: InputOperand, buffer: LaneBuffer, from: number, count: number) => {
        const [first, size] = extent(operand, call, from, count);
        const target = new (dtypeInfo(operand.dtype).array)(memory.buffer, at(operand), size);
        target.set(lane.view(buffer).subarray(first, first + size) as never);
      };
      const present = call.inputs.flatMap((operand, i) => (operand ? [{ operand, buffer: inputs[i]! }] : []));
      const whole = present.filter(({ operand }) => operand.role === 'whole');
      const key = whole.map(({ operand }) => `${operand.id ?? `shared ${operand.storage}`} at ${at(operand)}`).join();
      if (resident !== key) for (const { operand, buffer } of whole) write(operand, buffer, 0, rows);
      resident = key;
      // Without rows there is one call, so that outputs which are whole are made.
      for (let from = 0; from === 0 || from < rows; from += Math.max(1, unit)) {
        const count = Math.min(unit, rows - from);
        for (const { operand, buffer } of present) if (operand.role === 'rows') write(operand, buffer, from, count);
        kernel(count, ...call.inputs.map(at), ...call.outputs.map(at), ...variant.scalars);
        call.outputs.forEach((operand, i) => {
          const [first, size] = extent(operand, call, from, count);
          lane.view(outputs[i]).set(new (dtypeInfo(operand.dtype).array)(memory.buffer, at(operand), size) as never, first);
        });
      }
    },
  };
}

/** Addresses of the operands for chunks of `unit` rows. Whole ones come first, so that theirs do not depend on the length of a chunk. */
function layOut(call: Call, unit: number, base: number): { addresses: Map<Operand, number>; end: number } {
  const operands = [...call.inputs, ...call.outputs].filter((operand) => operand !== undefined);
  const addresses = new Map<Operand, number>();
  let end = Math.ceil(base / 64) * 64;
  for (const role of ['whole', 'rows'])
    for (const operand of operands) {
      if (operand.role !== role) continue;
      addresses.set(operand, end);
      end = Math.ceil((end + extent(operand, call, 0, unit)[1] * dtypeInfo(operand.dtype).bytes) / 64) * 64;
    }
  return { addresses, end };
}

/** First element and number of elements of `count` rows from `from` on; everything of an operand that is not split. */
function extent({ role, shape }: Operand, { chunkRows }: Call, from: number, count: number): [first: number, size: number] {
  if (role === 'whole' || chunkRows === 0) return [0, elementCount(shape)];
  const row = elementCount(shape.slice(1));
  return [from * row, count * row];
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
      { cause },
    );
  }
}
