import { type AttentionAttributes, defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/**
 * One step of cached attention for sequences that advance together: row r holds the newest query of sequence r, and the keys and values of all its
 * positions, the older ones in `pastK` and `pastV [rows, past · kvHeads · headDim]` (absent at first), the newest, the query's own among them, in
 * `recentK` and `recentV [rows, recent · kvHeads · headDim]`. `slopes [heads]` adds ALiBi. Gives the row of `core.attention` for the last position, `y [rows, heads · headDim]`.
 */
export const attentionStep = defineKernel<'q' | 'pastK' | 'pastV' | 'recentK' | 'recentV' | 'slopes', 'y', AttentionAttributes>({
  name: 'transformer.attentionStep',
  inputs: {
    q: { role: 'rows' },
    pastK: { role: 'rows', optional: true },
    pastV: { role: 'rows', optional: true },
    recentK: { role: 'rows' },
    recentV: { role: 'rows' },
    slopes: { role: 'whole', optional: true },
  },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 8,
  infer({ q, pastK, pastV, recentK, recentV, slopes }, { heads, kvHeads, headDim }) {
    const width = kvHeads * headDim;
    expectShape('attentionStep', 'q', q, [undefined, heads * headDim]);
    expectDtype('attentionStep', 'q', q, 'f32');
    expectShape('attentionStep', 'recentK', recentK, [q.shape[0], wholePositions(recentK.shape[1], width)]);
    expectShape('attentionStep', 'recentV', recentV, recentK.shape);
    if (pastK || pastV) {
      expectShape('attentionStep', 'pastK', pastK, [q.shape[0], wholePositions(pastK?.shape[1] ?? 0, width)]);
      expectShape('attentionStep', 'pastV', pastV, pastK.shape);
    }
    if (slopes) expectShape('attentionStep', 'slopes', slopes, [heads]);
    return { y: q };
  },
  reference({ q, pastK, pastV, recentK, recentV, slopes }, { heads, kvHeads, headDim, scale, window, softcap }) {
    const rows = q.shape[0];
    const width = kvHeads * headDim;
    const past = (pastK?.shape[1] ?? 0) / width;
    const total = past + recentK.shape[1] / width;
    const y = tensor('f32', q.shape);
    const [qv, yv, slope] = [q.data, y.data, slopes?.data] as Float32Array[];
    const scores = new Float64Array(total);
    const from = window === undefined ? 0 : Math.max(0, total - window);
    for (let r = 0; r < rows; r++) {
      const at = (old: Float32Array | undefined, recent: Float32Array, position: number): Float32Array =>
        position < past ? old!.subarray((r * past + position) * width) : recent.subarray((r * (total - past) + position - past) * width);
      for (let head = 0; head < heads; head++) {
        const kvAt = Math.floor((head * kvHeads) / heads) * headDim;
        const qAt = (r * heads + head) * headDim;
        let max = -Infinity;
        for (let s = from; s < total; s++) {
          const key = at(pastK?.data as Float32Array | undefined, recentK.data as Float32Array, s);
          let dot = 0;
          for (let i = 0; i < headDim; i++) dot += qv[qAt + i] * key[kvAt + i];
          const score = dot * scale;
          scores[s] = softcap === undefined ? score : softcap * Math.tanh(score / softcap);
          if (slopes) scores[s] += slope[head] * (s - total + 1);
          max = Math.max(max, scores[s]);
        }
        let sum = 0;
        const mixed = new Float64Array(headDim);
        for (let s = from; s < total; s++) {
          const weight = Math.exp(scores[s] - max);
          sum += weight;
          const value = at(pastV?.data as Float32Array | undefined, recentV.data as Float32Array, s);
          for (let i = 0; i < headDim; i++) mixed[i] += weight * value[kvAt + i];
        }
        for (let i = 0; i < headDim; i++) yv[qAt + i] = mixed[i] / sum;
      }
    }
    return { y };
  },
  wasm: {
    module: wasmModule,
    function: 'attentionStep',
    scalars: ({ pastK, recentK }, { heads, kvHeads, headDim, scale, window, softcap }) => {
      const width = kvHeads * headDim;
      const past = (pastK?.shape[1] ?? 0) / width;
      const recent = (recentK?.shape[1] ?? 0) / width;
      return [past, recent, heads, kvHeads, headDim, scale, window ?? 0, softcap ?? 0];
    },
  },
});

/** The columns that a cache must have if they hold whole positions: the given ones, else the next multiple (so that the check fails). */
function wholePositions(columns: number, width: number): number {
  return columns > 0 && columns % width === 0 ? columns : (Math.floor(columns / width) + 1) * width;
}
