import { byteLength, CalibrantError, type Kernel, type Tensor, tensor } from '@calibrant/core';

/**
 * Runs a kernel's WebAssembly variant once, alone in a fresh memory and on all rows, so that a test can compare it with
 * `kernel.reference`. Operands lie 16-byte aligned behind the module's own data, as in a backend.
 *
 * @throws CalibrantError `UNSUPPORTED` when the kernel has no WebAssembly variant.
 * @example
 * const fast = runWasm(myKernel, { x }, {});
 * expect(fast.y.data).toEqual(myKernel.reference({ x }, {}, { start: 0, end: 4 }).y.data);
 */
export function runWasm<In extends string, Out extends string, Attributes>(
  kernel: Kernel<In, Out, Attributes>,
  inputs: { readonly [name in In]?: Tensor | undefined },
  attributes: Attributes,
): Record<Out, Tensor> {
  const variant = kernel.wasm;
  if (!variant) throw new CalibrantError('UNSUPPORTED', `${kernel.name} has no WebAssembly variant.`);
  const present = Object.fromEntries(Object.entries(inputs).filter(([, value]) => value !== undefined)) as Record<In, Tensor>;
  const inputNames = Object.keys(kernel.inputs) as In[];
  const outputNames = Object.keys(kernel.outputs) as Out[];
  const specs = kernel.infer(present, attributes);

  const memory = new WebAssembly.Memory({ initial: 64 });
  const binary = Uint8Array.from(atob(variant.module.base64), (letter) => letter.charCodeAt(0));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary), { env: { memory } });
  const functions = exports as Record<string, (...args: number[]) => number>;
  let free = functions.heapBase();
  const place = (bytes: number) => {
    const at = Math.ceil(free / 16) * 16;
    free = at + bytes;
    const missing = Math.ceil((free - memory.buffer.byteLength) / 65536);
    if (missing > 0) memory.grow(missing);
    return at;
  };
  const inputPointers = inputNames.map((name) => (present[name] ? place(byteLength(present[name])) : 0));
  const outputPointers = outputNames.map((name) => place(byteLength(specs[name])));
  inputNames.forEach((name, i) => {
    const value = present[name]?.data;
    if (value) new Uint8Array(memory.buffer).set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength), inputPointers[i]);
  });
  const split = inputNames.find((name) => kernel.inputs[name].role === 'rows' && present[name]);
  const call = typeof variant.function === 'string' ? variant.function : variant.function(attributes);
  const rows = split ? present[split].shape[0] : 0;
  functions[call](rows, ...inputPointers, ...outputPointers, ...variant.scalars(present, attributes));
  const results = {} as Record<Out, Tensor>;
  outputNames.forEach((name, i) => {
    results[name] = tensor(specs[name].dtype, specs[name].shape);
    const bytes = new Uint8Array(memory.buffer, outputPointers[i], byteLength(specs[name]));
    new Uint8Array(results[name].data.buffer).set(bytes);
  });
  return results;
}
