// llama.cpp multiplies a quantized weight by activations that it rounds to 8 bits first. The same in our forward pass: a backend and checkpoints that
// round the input of each linear layer as ggml's CPU kernels do for the weight's type.
import { decodeOne, defineKernel, encodeOne, linear, tensor } from '@calibrant/core';

/** Types whose kernels take activations in blocks of 32 values (ggml's Q8_0 and Q8_1); those of all other blocks take super-blocks of 256 (Q8_K). */
const BLOCKS_OF_32 = new Set(['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'IQ4_NL', 'MXFP4', 'NVFP4', 'Q1_0', 'Q2_0']);

/** To the nearest integer, halves to the even one: what ggml gets by adding 1.5 · 2^23 in f32. */
const nearest = (x) => Math.fround(Math.fround(x + 12582912) - 12582912);

/** `d = max |x| / 127`, stored as f16. */
function roundBlock(x, y) {
  const peak = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (peak === 0) return;
  const [inverse, scale] = [Math.fround(127 / peak), decodeOne('f16', encodeOne('f16', Math.fround(peak / 127)))];
  for (let i = 0; i < x.length; i++) y[i] = scale * nearest(Math.fround(x[i] * inverse));
}

/** An f32 scale that takes the value of largest magnitude, the first of equals, to -127. */
function roundSuperBlock(x, y) {
  const extreme = x.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
  if (extreme === 0) return;
  const inverse = Math.fround(-127 / extreme);
  const scale = Math.fround(1 / inverse);
  for (let i = 0; i < x.length; i++) y[i] = scale * Math.min(127, nearest(Math.fround(x[i] * inverse)));
}

const roundActivations = defineKernel({
  name: 'bench.roundActivations',
  inputs: { x: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 64,
  infer: ({ x }) => ({ y: x }),
  reference({ x }, { type }) {
    const y = tensor('f32', x.shape);
    const [block, round] = BLOCKS_OF_32.has(type) ? [32, roundBlock] : [256, roundSuperBlock];
    for (let start = 0; start < x.data.length; start += block)
      round(x.data.subarray(start, start + block), y.data.subarray(start, start + block));
    return { y };
  },
});

/** `backend` for models opened by `open`. */
export function roundedActivations(backend) {
  const typeOfData = new WeakMap();
  const typeOfBuffer = new Map();
  return {
    open: (checkpoint) => ({
      ...checkpoint,
      async read(name, range) {
        const value = await checkpoint.read(name, range);
        const { storage } = checkpoint.tensors.get(name);
        if (storage) typeOfData.set(value.data, storage);
        return value;
      },
    }),
    backend: {
      ...backend,
      async upload(value, options) {
        const handle = await backend.upload(value, options);
        typeOfBuffer.set(handle.id, typeOfData.get(value.data));
        return handle;
      },
      run(kernel, inputs, attributes) {
        const type = kernel.name === linear.name ? typeOfBuffer.get(inputs.w.id) : undefined;
        if (!type) return backend.run(kernel, inputs, attributes);
        const { y: x } = backend.run(roundActivations, { x: inputs.x }, { type });
        const result = backend.run(kernel, { ...inputs, x }, attributes);
        backend.free(x);
        return result;
      },
    },
  };
}
