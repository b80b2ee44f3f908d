import { type AttentionAttributes, attention, createReferenceBackend, createRng, type Tensor, tensor } from '@calibrant/core';
import { attentionStep, joinColumns } from '@calibrant/transformer';
import { describe, expect, it } from '@jest/globals';
import { maxDifference, row } from './compare.js';
import { runWasm } from './run-wasm.js';

const random = createRng(5);
const normal = (rows: number, columns: number): Tensor =>
  tensor(
    'f32',
    [rows, columns],
    Float32Array.from({ length: rows * columns }, () => random.normal()),
  );
const columns = ({ shape, data }: Tensor, from: number, to: number): Tensor => {
  const out = tensor('f32', [shape[0], to - from]);
  const [from32, to32] = [data, out.data] as Float32Array[];
  for (let r = 0; r < shape[0]; r++) to32.set(from32.subarray(r * shape[1] + from, r * shape[1] + to), r * (to - from));
  return out;
};
const all = { start: 0, end: 3 };

const CASES: (AttentionAttributes & { tokens: number; past: number })[] = [
  { heads: 4, kvHeads: 2, headDim: 8, scale: 0.3, tokens: 11, past: 8 },
  { heads: 4, kvHeads: 4, headDim: 8, scale: 0.3, tokens: 9, past: 0 },
  { heads: 3, kvHeads: 1, headDim: 6, scale: 0.4, tokens: 12, past: 9, window: 5 },
  { heads: 2, kvHeads: 1, headDim: 7, scale: 0.9, tokens: 12, past: 4, window: 20, softcap: 2 },
  { heads: 1, kvHeads: 1, headDim: 4, scale: 1, tokens: 1, past: 0 },
];

describe('attentionStep', () => {
  it.each(CASES)('equals the last row of attention for each of several sequences: %o', async ({ tokens, past, ...attributes }) => {
    const width = attributes.kvHeads * attributes.headDim;
    const q = normal(3, attributes.heads * attributes.headDim);
    const [k, v] = [normal(3, tokens * width), normal(3, tokens * width)];
    const cut = past * width;
    const inputs = {
      q,
      ...(past > 0 ? { pastK: columns(k, 0, cut), pastV: columns(v, 0, cut) } : {}),
      recentK: columns(k, cut, tokens * width),
      recentV: columns(v, cut, tokens * width),
    };
    const reference = attentionStep.reference(inputs as never, attributes, all).y;
    const wasm = (await runWasm(attentionStep, inputs, attributes)).y;
    for (let r = 0; r < 3; r++) {
      const queries = tensor('f32', [tokens, q.shape[1]]);
      queries.data.set(row(q, r) as never, (tokens - 1) * q.shape[1]);
      const sequence = { q: queries, k: tensor('f32', [tokens, width], row(k, r)), v: tensor('f32', [tokens, width], row(v, r)) };
      const expected = row(attention.reference(sequence as never, attributes, all).y, -1);
      expect(maxDifference(row(reference, r), expected)).toBeLessThan(1e-6);
      expect(maxDifference(row(wasm, r), expected)).toBeLessThan(2e-6);
    }
  });

  it('refuses caches that do not hold whole positions or do not agree', async () => {
    const backend = createReferenceBackend();
    const upload = (rows: number, width: number) => backend.upload(normal(rows, width));
    const attributes = { heads: 2, kvHeads: 1, headDim: 4, scale: 1 };
    const q = await upload(2, 8);
    const [recent, ragged, otherRows] = [await upload(2, 8), await upload(2, 6), await upload(3, 8)];
    const run = (inputs: object) => () => backend.run(attentionStep, { q, recentK: recent, recentV: recent, ...inputs }, attributes);
    expect(run({})).not.toThrow();
    expect(run({ recentK: ragged, recentV: ragged })).toThrow(/recentK must have shape \[2, 8\]/);
    expect(run({ pastK: otherRows, pastV: otherRows })).toThrow(/pastK must have shape \[2, 8\]/);
    expect(run({ pastK: recent })).toThrow(/pastV must have shape/);
  });
});

describe('joinColumns', () => {
  it('puts the columns of b after those of a, in the reference and in WebAssembly alike', async () => {
    const [a, b] = [normal(3, 5), normal(3, 2)];
    const { y } = joinColumns.reference({ a, b }, {}, all);
    expect([...row(y, 1)]).toEqual([...row(a, 1), ...row(b, 1)]);
    expect([...(await runWasm(joinColumns, { a, b }, {})).y.data]).toEqual([...y.data]);
  });
});
