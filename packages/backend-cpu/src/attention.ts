import type { NativeCall } from '@calibrant/kernels';
import type { Gemm } from './gemm.js';
import { addressOf, withScratch } from './scratch.js';

/** Most rows (heads of a group × queries) of scores that are held at once. */
const ROWS = 1024;
/** Most queries per block. */
const QUERIES = 128;

/**
 * Causal attention by matrix products. For each key head and block of queries: scores of all query heads of the group against the visible range
 * of keys in one product, softmax in place by a SIMD kernel, then one product with the values.
 */
export function attentionOperation(gemm: Gemm) {
  return ({ lane, inputs, outputs, attributes }: NativeCall): void | Promise<void> => {
    const { heads, kvHeads, headDim, scale, window = 0, softcap = 0 } = attributes;
    const { q, k, v, slopes } = inputs;
    const tokens = q!.shape[0];
    const groupOf = groups(heads, kvHeads);
    if (tokens === 0) return;
    return withScratch(lane, async (allocate) => {
      const [qAt, kAt, vAt] = [q!, k!, v!].map((buffer) => addressOf(lane, buffer, allocate));
      const slopesAt = slopes ? addressOf(lane, slopes, allocate) : 0;
      const largest = Math.max(...groupOf.map(({ count }) => count));
      const block = Math.min(tokens, QUERIES, Math.max(16, Math.floor(ROWS / largest)));
      const headBytes = 4 * headDim;
      const [qHead, yHead] = [allocate(largest * block * headBytes), allocate(largest * block * headBytes)];
      const [kHead, vHead] = [allocate(tokens * headBytes), allocate(tokens * headBytes)];
      const scores = allocate(4 * largest * block * Math.min(tokens, window > 0 ? window + block : tokens));
      const product = (a: number, b: number, y: number, sizes: { m: number; k: number; n: number }, transposeB: boolean) =>
        gemm(lane, {
          dtype: 'f32',
          transposeA: false,
          transposeB,
          alpha: 1,
          beta: 1,
          hasC: false,
          a: { rows: sizes.m, columns: sizes.k, address: a },
          b: { rows: transposeB ? sizes.n : sizes.k, columns: transposeB ? sizes.k : sizes.n, address: b },
          y: { rows: sizes.m, columns: sizes.n, address: y },
        });
      for (const [kvHead, { first, count }] of groupOf.entries()) {
        if (count === 0) continue;
        lane.wasm.copyRectangle(tokens, kAt + kvHead * headBytes, kHead, headBytes, kvHeads * headBytes, headBytes);
        lane.wasm.copyRectangle(tokens, vAt + kvHead * headBytes, vHead, headBytes, kvHeads * headBytes, headBytes);
        for (let start = 0; start < tokens; start += block) {
          const queries = Math.min(block, tokens - start);
          const firstKey = window > 0 ? Math.max(0, start - window + 1) : 0;
          const keys = start + queries - firstKey;
          const at = (head: number) => (start * heads + first + head) * headBytes;
          for (let head = 0; head < count; head++)
            lane.wasm.copyRectangle(queries, qAt + at(head), qHead + head * queries * headBytes, headBytes, heads * headBytes, headBytes);
          const m = count * queries;
          await product(qHead, kHead + firstKey * headBytes, scores, { m, k: headDim, n: keys }, true);
          const groupSlopes = slopesAt && slopesAt + 4 * first;
          lane.wasm.attentionSoftmax(count, queries, keys, scores, groupSlopes, start, firstKey, window, scale, softcap);
          await product(scores, vHead + firstKey * headBytes, yHead, { m, k: keys, n: headDim }, false);
          for (let head = 0; head < count; head++)
            lane.wasm.copyRectangle(
              queries,
              yHead + head * queries * headBytes,
              outputs['y'].address + at(head),
              headBytes,
              headBytes,
              heads * headBytes,
            );
        }
      }
    });
  };
}

/** The query heads of each key head: head h reads key head `floor(h · kvHeads / heads)`. */
function groups(heads: number, kvHeads: number): { first: number; count: number }[] {
  const found = Array.from({ length: kvHeads }, () => ({ first: 0, count: 0 }));
  for (let head = 0; head < heads; head++) {
    const group = found[Math.floor((head * kvHeads) / heads)];
    if (group.count === 0) group.first = head;
    group.count++;
  }
  return found;
}
