// Runs exports of the embedded WebAssembly module in the calling thread: what one worker lane does.
import { BLOCK_TYPES } from '../dist/index.js';

const { module: embedded } = BLOCK_TYPES.Q4_K.encode.wasm;
const memory = new WebAssembly.Memory({ initial: 1024 });
const { instance } = await WebAssembly.instantiate(Buffer.from(embedded.base64, 'base64'), { env: { memory } });
const base = Math.ceil(instance.exports.heapBase() / 16) * 16;

/** Lays the operands out once; `run` calls the kernel on them, `output` is a view of the result. */
export function prepare(kernel, inputs, outputBytes, columns, rowLength = columns) {
  let at = base;
  const place = (bytes) => {
    const start = at;
    at = Math.ceil((at + bytes) / 16) * 16;
    if (at > memory.buffer.byteLength) memory.grow(Math.ceil((at - memory.buffer.byteLength) / 65536));
    return start;
  };
  const pointers = inputs.map((input) => (input ? place(input.byteLength) : 0));
  const out = place(outputBytes);
  for (const [i, input] of inputs.entries())
    if (input)
      new Uint8Array(memory.buffer, pointers[i], input.byteLength).set(new Uint8Array(input.buffer, input.byteOffset, input.byteLength));
  const rows = inputs[0].length / rowLength;
  const fn = instance.exports[kernel.wasm.function];
  return { run: () => fn(rows, ...pointers, out, columns), output: () => new Uint8Array(memory.buffer, out, outputBytes).slice() };
}
