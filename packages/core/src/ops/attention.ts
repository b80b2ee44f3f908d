import { defineKernel } from '../kernel.js';
import { tensor } from '../tensor.js';
import { expectDtype, expectShape } from './check.js';

export interface RopeAttributes {
  readonly headDim: number;
  /** `half`: pairs (i, i + rot/2) as in NeoX and Hugging Face's Llama; `interleaved`: pairs (2i, 2i + 1). */
  readonly style: 'half' | 'interleaved';
}

/**
 * Rotary position embedding of `x [tokens, heads · headDim]`. `cos` and `sin` are tables `[positions, rot/2]` (rot ≤ headDim dimensions of
 * each head turn, the rest pass); `positions [tokens]` i32 picks the row of the tables.
 */
export const rope = defineKernel<'x' | 'positions' | 'cos' | 'sin', 'y', RopeAttributes>({
  name: 'core.rope',
  inputs: { x: { role: 'rows' }, positions: { role: 'rows' }, cos: { role: 'whole' }, sin: { role: 'whole' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 256,
  infer({ x, positions, cos, sin }, { headDim }) {
    expectShape('rope', 'x', x, [undefined, undefined]);
    expectDtype('rope', 'x', x, 'f32');
    expectShape('rope', 'positions', positions, [x.shape[0]]);
    expectDtype('rope', 'positions', positions, 'i32');
    expectShape('rope', 'sin', sin, cos.shape);
    expectDtype('rope', 'cos', cos, 'f32');
    expectDtype('rope', 'sin', sin, 'f32');
    if (x.shape[1] % headDim !== 0 || cos.shape[1] * 2 > headDim) expectShape('rope', 'x', x, [undefined, headDim]);
    return { y: x };
  },
  reference({ x, positions, cos, sin }, { headDim, style }) {
    const [tokens, width] = x.shape;
    const half = cos.shape[1];
    const y = tensor('f32', x.shape, new Float32Array(x.data as Float32Array));
    const [xv, yv, cv, sv] = [x.data, y.data, cos.data, sin.data] as Float32Array[];
    const pv = positions.data as Int32Array;
    for (let t = 0; t < tokens; t++)
      for (let head = t * width; head < (t + 1) * width; head += headDim)
        for (let i = 0; i < half; i++) {
          const [p, q] = style === 'half' ? [head + i, head + i + half] : [head + 2 * i, head + 2 * i + 1];
          const [c, s] = [cv[pv[t] * half + i], sv[pv[t] * half + i]];
          yv[p] = xv[p] * c - xv[q] * s;
          yv[q] = xv[q] * c + xv[p] * s;
        }
    return { y };
  },
});

export interface AttentionAttributes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Factor of q·k, usually 1/sqrt(headDim). */
  readonly scale: number;
  /** A query sees keys `(query − window, query]`; absent: all keys up to itself. */
  readonly window?: number;
  /** `softcap · tanh(score / softcap)` before the softmax. */
  readonly softcap?: number;
}

/**
 * Causal grouped-query attention of one sequence from position 0: `q [tokens, heads · headDim]`, `k` and `v [tokens, kvHeads · headDim]`
 * to `y [tokens, heads · headDim]`. `slopes [heads]` adds ALiBi's `slope · (key − query)` to the scores.
 */
export const attention = defineKernel<'q' | 'k' | 'v' | 'slopes', 'y', AttentionAttributes>({
  name: 'core.attention',
  inputs: { q: { role: 'whole' }, k: { role: 'whole' }, v: { role: 'whole' }, slopes: { role: 'whole', optional: true } },
  outputs: { y: { role: 'whole' } },
  infer({ q, k, v, slopes }, { heads, kvHeads, headDim }) {
    expectShape('attention', 'q', q, [undefined, heads * headDim]);
    expectShape('attention', 'k', k, [q.shape[0], kvHeads * headDim]);
    expectShape('attention', 'v', v, [q.shape[0], kvHeads * headDim]);
    expectDtype('attention', 'q', q, 'f32');
    expectDtype('attention', 'k', k, 'f32');
    expectDtype('attention', 'v', v, 'f32');
    if (!slopes) return { y: q };
    expectShape('attention', 'slopes', slopes, [heads]);
    expectDtype('attention', 'slopes', slopes, 'f32');
    return { y: q };
  },
  reference({ q, k, v, slopes }, { heads, kvHeads, headDim, scale, window, softcap }) {
    const tokens = q.shape[0];
    const y = tensor('f32', q.shape);
    const [qv, kv, vv, yv, slope] = [q.data, k.data, v.data, y.data, slopes?.data] as Float32Array[];
    const scores = new Float64Array(tokens);
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor((head * kvHeads) / heads);
      for (let t = 0; t < tokens; t++) {
        const from = window === undefined ? 0 : Math.max(0, t - window + 1);
        const qAt = (t * heads + head) * headDim;
        let max = -Infinity;
        for (let s = from; s <= t; s++) {
          const kAt = (s * kvHeads + kvHead) * headDim;
          let dot = 0;
          for (let i = 0; i < headDim; i++) dot += qv[qAt + i] * kv[kAt + i];
          let score = dot * scale;
          if (softcap !== undefined) score = softcap * Math.tanh(score / softcap);
          if (slopes) score += slope[head] * (s - t);
          scores[s] = score;
          max = Math.max(max, score);
        }
        let sum = 0;
        for (let s = from; s <= t; s++) {
          scores[s] = Math.exp(scores[s] - max);
          sum += scores[s];
        }
        for (let i = 0; i < headDim; i++) {
          let value = 0;
          for (let s = from; s <= t; s++) value += scores[s] * vv[(s * kvHeads + kvHead) * headDim + i];
          yv[qAt + i] = value / sum;
        }
      }
    }
    return { y };
  },
});
