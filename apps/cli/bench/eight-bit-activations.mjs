// llama.cpp multiplies a quantized weight by activations that it rounds to 8 bits first. The same in our forward pass: a backend and checkpoints that
// round the input of each linear layer as ggml does for the weight's type.
import { decodeOne, defineKernel, encodeOne, linear, tensor } from '@calibrant/core';

const [LEGACY, SUPER] = [32, 256];
/** Values that share a scale, by type of the weight; all others are super-blocks. */
const BLOCKS = Object.fromEntries(
  ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'IQ4_NL', 'MXFP4', 'NVFP4', 'Q1_0', 'Q2_0'].map((type) => [type, LEGACY]),
);

/** Blocks of 32: `d = max |x| / 127`, stored as f16. Super-blocks of 256: an f32 scale that takes the value of largest magnitude to -127. */
const roundActivations = defineKernel({
  name: 'bench.roundActivations',
  inputs: { x: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 64,
  infer: ({ x }) => ({ y: x }),
  reference({ x }, { block }) {
    const y = tensor('f32', x.shape);
    for (let start = 0; start < x.data.length; start += block) {
      let extreme = 0;
      for (let i = start; i < start + block; i++) if (Math.abs(x.data[i]) > Math.abs(extreme)) extreme = x.data[i];
      if (extreme === 0) continue;
      const inverse = Math.fround(block === SUPER ? -127 / extreme : 127 / Math.abs(extreme));
      const scale = block === SUPER ? Math.fround(1 / inverse) : decodeOne('f16', encodeOne('f16', Math.abs(extreme) / 127));
      for (let i = start; i < start + block; i++) y.data[i] = scale * Math.min(127, Math.round(x.data[i] * inverse));
    }
    return { y };
  },
});

/** `backend` for models opened by `open`. */
export function eightBitActivations(backend) {
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
        const { y: x } = backend.run(roundActivations, { x: inputs.x }, { block: BLOCKS[type] ?? SUPER });
        const result = backend.run(kernel, { ...inputs, x }, attributes);
        backend.free(x);
        return result;
      },
    },
  };
}
