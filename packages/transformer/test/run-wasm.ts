import { byteLength, type Kernel, type Tensor, tensor } from '@calibrant/core';

// The part of the WebAssembly interface that is used here; Node's types leave it to the DOM library.
declare const WebAssembly: {
  Memory: new (descriptor: { initial: number }) => { readonly buffer: ArrayBuffer };
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: object } }>;
};

/** Runs a kernel's WebAssembly variant as a backend would: operands 16-byte aligned behind the module's own memory. */
export async function runWasm<In extends string, Out extends string, Attributes>(
  kernel: Kernel<In, Out, Attributes>,
  inputs: Partial<Record<In, Tensor>>,
  attributes: Attributes,
): Promise<Record<Out, Tensor>> {
  const variant = kernel.wasm;
  if (!variant) throw new Error(`${kernel.name} has no WebAssembly variant`);
  const memory = new WebAssembly.Memory({ initial: 400 });
  const { instance } = await WebAssembly.instantiate(Buffer.from(variant.module.base64, 'base64'), { env: { memory } });
  const exported = instance.exports as Record<string, (...args: number[]) => number>;
  let free = exported.heapBase();
  const place = (bytes: number) => {
    const at = Math.ceil(free / 16) * 16;
    free = at + bytes;
    return at;
  };
  const inputPointers = (Object.keys(kernel.inputs) as In[]).map((name) => {
    const value = inputs[name];
    if (!value) return 0;
    const at = place(byteLength(value));
    new Uint8Array(memory.buffer).set(new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength), at);
    return at;
  });
  const inferred = kernel.infer(inputs as Record<In, Tensor>, attributes);
  const names = Object.keys(kernel.outputs) as Out[];
  const outputPointers = names.map((name) => place(byteLength(inferred[name])));
  if (free > memory.buffer.byteLength) throw new Error('the test memory is too small');
  const rows = (Object.values(inputs)[0] as Tensor).shape[0];
  const call = typeof variant.function === 'string' ? variant.function : variant.function(attributes);
  exported[call](rows, ...inputPointers, ...outputPointers, ...variant.scalars(inputs, attributes));
  return Object.fromEntries(
    names.map((name, i) => {
      const result = tensor(inferred[name].dtype, inferred[name].shape);
      new Uint8Array(result.data.buffer).set(new Uint8Array(memory.buffer, outputPointers[i], byteLength(result)));
      return [name, result];
    }),
  ) as Record<Out, Tensor>;
}
