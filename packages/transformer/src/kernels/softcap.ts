import { defineKernel, expectDtype, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/** `y = cap · tanh(x / cap)`, f32. */
export const softcap = defineKernel<'x', 'y', { readonly cap: number }>({
  name: 'transformer.softcap',
  inputs: { x: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 16,
  infer({ x }) {
    expectDtype('softcap', 'x', x, 'f32');
    return { y: x };
  },
  reference({ x }, { cap }) {
    const y = tensor('f32', x.shape);
    const [xv, yv] = [x.data, y.data] as Float32Array[];
    for (let i = 0; i < xv.length; i++) yv[i] = cap * Math.tanh(xv[i] / cap);
    return { y };
  },
  wasm: {
    module: wasmModule,
    function: 'softcap',
    scalars: ({ x }, { cap }) => [(x?.shape ?? []).slice(1).reduce((product, size) => product * size, 1), cap],
  },
});
