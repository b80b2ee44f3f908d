import type { LaneMemory } from '@calibrant/kernels';
import { elements, type GemmCall, type Matrix } from './gemm.js';

/** Matrix products by the SIMD WebAssembly kernels: what runs where onnxruntime is not installed. */
export function wasmGemm(lane: LaneMemory, { dtype, transposeA, transposeB, alpha, beta, a, b, c, y }: GemmCall): void {
  const borrowed: number[] = [];
  const place = (matrix: Matrix): number => {
    if (!matrix.external) return matrix.address;
    const address = lane.arena.allocate(matrix.external.byteLength);
    borrowed.push(address);
    elements(lane, { ...matrix, external: undefined, address }, dtype).set(matrix.external);
    return address;
  };
  try {
    const [aAt, bAt] = [place(a), place(b)];
    startFrom(lane, dtype, y, c, beta);
    const k = transposeA ? a.rows : a.columns;
    const aSteps = transposeA ? [1, a.columns] : [a.columns, 1];
    const bSteps = transposeB ? [1, b.columns] : [b.columns, 1];
    lane.wasm[dtype === 'f32' ? 'gemmF32' : 'gemmF64'](y.rows, y.columns, k, aAt, ...aSteps, bAt, ...bSteps, y.address, alpha);
  } finally {
    for (const address of borrowed) lane.arena.release(address);
  }
}

/** y = beta · c, or 0: the kernel adds to it. */
function startFrom(lane: LaneMemory, dtype: 'f32' | 'f64', y: Matrix, c: Matrix | undefined, beta: number): void {
  const target = elements(lane, y, dtype);
  if (!c) {
    target.fill(0);
    return;
  }
  const source = elements(lane, c, dtype);
  if (c.rows === y.rows) {
    if (source.byteOffset !== target.byteOffset || source.buffer !== target.buffer) target.set(source);
  } else for (let row = 0; row < y.rows; row++) target.set(source, row * y.columns);
  if (beta !== 1) for (let i = 0; i < target.length; i++) target[i] *= beta;
}
