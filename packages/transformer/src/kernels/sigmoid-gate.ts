import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/** `y = x · sigmoid(gate)`, one gate per row: `x [rows, n]`, `gate [rows, 1]`, f32. */
export const sigmoidGate = defineKernel<'x' | 'gate', 'y', Record<string, never>>({
  name: 'transformer.sigmoidGate',
  inputs: { x: { role: 'rows' }, gate: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ x, gate }) {
    expectShape('sigmoidGate', 'x', x, [undefined, undefined]);
    expectDtype('sigmoidGate', 'x', x, 'f32');
    expectShape('sigmoidGate', 'gate', gate, [x.shape[0], 1]);
    expectDtype('sigmoidGate', 'gate', gate, 'f32');
    return { y: x };
  },
  reference({ x, gate }) {
    const width = x.shape[1];
    const y = tensor('f32', x.shape);
    const [xv, gv, yv] = [x.data, gate.data, y.data] as Float32Array[];
    for (let i = 0; i < xv.length; i++) yv[i] = xv[i] / (1 + Math.exp(-gv[Math.floor(i / width)]));
    return { y };
  },
  wasm: { module: wasmModule, function: 'sigmoidGate', scalars: ({ x }) => [x?.shape[1] ?? 0] },
});
