import type { NativeCall } from '@calibrant/kernels';
import type { Gemm } from './gemm.js';
import { addressOf, withScratch } from './scratch.js';

/** Rows of h per product. */
const BLOCK = 256;

/**
 * `h + scale · xᵀx` for the rows `[start, end)` of h, in blocks of rows: rows `[r0, r1)` need the products of the columns `[r0, r1)` of x with
 * the columns from r0 on, so that only the upper triangle (and half of each diagonal block) is computed.
 */
export function gramOperation(gemm: Gemm) {
  return ({ lane, inputs, outputs, attributes: { scale }, range }: NativeCall): void | Promise<void> => {
    const { h, x } = { h: inputs['h']!, x: inputs['x']! };
    const [tokens, n] = x.shape;
    if (range.end === range.start) return;
    return withScratch(lane, async (allocate) => {
      const xAt = addressOf(lane, x, allocate);
      const hAt = addressOf(lane, h, allocate);
      const left = allocate(4 * tokens * Math.min(BLOCK, range.end - range.start));
      const right = range.start > 0 || range.end > BLOCK ? allocate(4 * tokens * n) : 0;
      const product = allocate(4 * Math.min(BLOCK, range.end - range.start) * n);
      for (let r0 = range.start; r0 < range.end; r0 += BLOCK) {
        const height = Math.min(BLOCK, range.end - r0);
        const width = n - r0;
        lane.wasm.copyRectangle(tokens, xAt + 4 * r0, left, 4 * height, 4 * n, 4 * height);
        if (r0 > 0) lane.wasm.copyRectangle(tokens, xAt + 4 * r0, right, 4 * width, 4 * n, 4 * width);
        const y = { rows: height, columns: width, address: product };
        if (tokens === 0) new Float32Array(lane.memory.buffer, product, height * width).fill(0);
        else
          await gemm(lane, {
            dtype: 'f32',
            transposeA: true,
            transposeB: false,
            alpha: scale,
            beta: 1,
            hasC: false,
            a: { rows: tokens, columns: height, address: left },
            b: { rows: tokens, columns: width, address: r0 > 0 ? right : xAt },
            y,
          });
        const offset = 4 * (r0 - range.start) * n;
        lane.wasm.accumulateTriangle(height, hAt + offset, product, outputs['h'].address + offset, n, r0);
      }
    });
  };
}
