import { type AttentionAttributes, attention, createReferenceBackend, createRng, layerNorm, type Tensor, tensor } from '@calibrant/core';
import { attentionStep, headLayerNorm, joinColumns, sigmoidGate, softcap, takeColumns, weightedSum } from '@calibrant/transformer';
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

const CASES: (AttentionAttributes & { tokens: number; past: number; alibi?: boolean })[] = [
  { heads: 4, kvHeads: 2, headDim: 8, scale: 0.3, tokens: 11, past: 8, alibi: true },
  { heads: 3, kvHeads: 3, headDim: 5, scale: 0.3, tokens: 9, past: 2, window: 6, alibi: true },
  { heads: 4, kvHeads: 2, headDim: 8, scale: 0.3, tokens: 11, past: 8 },
  { heads: 4, kvHeads: 4, headDim: 8, scale: 0.3, tokens: 9, past: 0 },
  { heads: 3, kvHeads: 1, headDim: 6, scale: 0.4, tokens: 12, past: 9, window: 5 },
  { heads: 2, kvHeads: 1, headDim: 7, scale: 0.9, tokens: 12, past: 4, window: 20, softcap: 2 },
  { heads: 1, kvHeads: 1, headDim: 4, scale: 1, tokens: 1, past: 0 },
];

describe('attentionStep', () => {
  it.each(CASES)('equals the last row of attention for each of several sequences: %o', async ({ tokens, past, alibi, ...attributes }) => {
    const width = attributes.kvHeads * attributes.headDim;
    const q = normal(3, attributes.heads * attributes.headDim);
    const [k, v] = [normal(3, tokens * width), normal(3, tokens * width)];
    const cut = past * width;
    const slopes = tensor(
      'f32',
      [attributes.heads],
      Float32Array.from({ length: attributes.heads }, (_, head) => 2 ** -head),
    );
    const biased = alibi ? { slopes } : {};
    const inputs = {
      q,
      ...biased,
      ...(past > 0 ? { pastK: columns(k, 0, cut), pastV: columns(v, 0, cut) } : {}),
      recentK: columns(k, cut, tokens * width),
      recentV: columns(v, cut, tokens * width),
    };
    const reference = attentionStep.reference(inputs as never, attributes, all).y;
    const wasm = (await runWasm(attentionStep, inputs, attributes)).y;
    for (let r = 0; r < 3; r++) {
      const queries = tensor('f32', [tokens, q.shape[1]]);
      queries.data.set(row(q, r) as never, (tokens - 1) * q.shape[1]);
      const sequence = {
        q: queries,
        ...biased,
        k: tensor('f32', [tokens, width], row(k, r)),
        v: tensor('f32', [tokens, width], row(v, r)),
      };
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

describe('takeColumns', () => {
  it('takes query, key and value out of rows where they lie side by side for each group', async () => {
    const x = tensor(
      'f32',
      [2, 12],
      Float32Array.from({ length: 24 }, (_, i) => i),
    );
    const taken = (groups: number, start: number, width: number) => [
      ...row(takeColumns.reference({ x }, { groups, start, width }, all).y, 1),
    ];
    expect(taken(1, 0, 6)).toEqual([12, 13, 14, 15, 16, 17]);
    expect(taken(2, 2, 2)).toEqual([14, 15, 20, 21]);
    expect(taken(3, 3, 1)).toEqual([15, 19, 23]);
    const attributes = { groups: 3, start: 1, width: 2 };
    expect((await runWasm(takeColumns, { x }, attributes)).y).toEqual(takeColumns.reference({ x }, attributes, all).y);
    expect(() => takeColumns.infer({ x }, { groups: 5, start: 0, width: 1 })).toThrow(/5 equal runs are outside f32 \[2, 12\]/);
    expect(() => takeColumns.infer({ x }, { groups: 3, start: 3, width: 2 })).toThrow(/columns 3 to 5/);
  });
});

describe('sigmoidGate', () => {
  it('scales each row by the sigmoid of its gate, in the reference and in WebAssembly alike', async () => {
    const x = normal(3, 7);
    const gate = tensor('f32', [3, 1], Float32Array.of(0, 90, -2));
    const { y } = sigmoidGate.reference({ x, gate }, {}, all);
    expect(
      maxDifference(
        row(y, 0),
        row(x, 0).map((value) => value / 2),
      ),
    ).toBe(0);
    expect(row(y, 1)).toEqual(row(x, 1));
    expect(row(y, 2)[3]).toBeCloseTo(row(x, 2)[3] / (1 + Math.exp(2)), 6);
    expect(maxDifference((await runWasm(sigmoidGate, { x, gate }, {})).y.data as Float32Array, y.data as Float32Array)).toBeLessThan(2e-7);
  });
});

describe('softcap', () => {
  it('is cap · tanh(x / cap), in WebAssembly within 4e-7 of the cap', async () => {
    const x = tensor(
      'f32',
      [3, 1001],
      Float32Array.from({ length: 3003 }, (_, i) => (i - 1501) * 0.4),
    );
    const { y } = softcap.reference({ x }, { cap: 30 }, all);
    expect(y.data[1501 + 75]).toBeCloseTo(30 * Math.tanh(1), 5);
    const fast = (await runWasm(softcap, { x }, { cap: 30 })).y.data as Float32Array;
    expect(maxDifference(fast, y.data as Float32Array)).toBeLessThan(30 * 4e-7);
    const odd = tensor('f32', [1, 3], Float32Array.of(NaN, Infinity, -Infinity));
    expect([...(await runWasm(softcap, { x: odd }, { cap: 2 })).y.data].map((value) => Number(value).toFixed(4))).toEqual([
      'NaN',
      '2.0000',
      '-2.0000',
    ]);
  });
});

describe('headLayerNorm', () => {
  it('is layer norm of each head with weights of its own', async () => {
    const [x, weight] = [normal(3, 15), tensor('f32', [15], row(normal(1, 15), 0))];
    const attributes = { eps: 1e-5, width: 5 };
    const { y } = headLayerNorm.reference({ x, weight }, attributes, all);
    for (let head = 0; head < 3; head++) {
      const part = columns(x, head * 5, head * 5 + 5);
      const own = tensor('f32', [5], (weight.data as Float32Array).slice(head * 5, head * 5 + 5));
      const expected = layerNorm.reference({ x: part, weight: own } as never, { eps: 1e-5 }, all).y;
      expect(maxDifference(columns(y, head * 5, head * 5 + 5).data as Float32Array, expected.data as Float32Array)).toBeLessThan(1e-6);
    }
    expect(
      maxDifference((await runWasm(headLayerNorm, { x, weight }, attributes)).y.data as Float32Array, y.data as Float32Array),
    ).toBeLessThan(1e-6);
    expect(() => headLayerNorm.infer({ x, weight }, { eps: 1e-5, width: 4 })).toThrow(/weight must have shape \[16\]/);
  });
});

describe('weightedSum', () => {
  it('adds up the named rows of up to eight tables, in the reference and in WebAssembly alike', async () => {
    const [y0, y7, base] = [normal(2, 6), normal(1, 6), normal(3, 6)];
    const none = Array(8).fill(-1);
    const slots = tensor('i32', [3, 8], Int32Array.from([1, ...none.slice(1), ...none, 0, ...none.slice(2), 0]));
    const weights = tensor(
      'f32',
      [3, 8],
      Float32Array.from({ length: 24 }, (_, i) => (i + 1) / 8),
    );
    const inputs = { slots, weights, base, y0, y7 };
    const { y } = weightedSum.reference(inputs as never, { width: 6 }, all);
    const first = row(base, 0).map((value, i) => value + row(y0, 1)[i] / 8);
    expect(maxDifference(row(y, 0), first)).toBeLessThan(1e-6);
    expect(row(y, 1)).toEqual(row(base, 1));
    const third = row(base, 2).map((value, i) => value + (17 / 8) * row(y0, 0)[i] + 3 * row(y7, 0)[i]);
    expect(maxDifference(row(y, 2), third)).toBeLessThan(1e-6);
    expect((await runWasm(weightedSum, inputs, { width: 6 })).y).toEqual(y);
    const bare = { slots, weights, y0, y7 };
    expect((await runWasm(weightedSum, bare, { width: 6 })).y).toEqual(weightedSum.reference(bare as never, { width: 6 }, all).y);
    expect([...row(weightedSum.reference(bare as never, { width: 6 }, all).y, 1)]).toEqual(Array(6).fill(0));
  });
});
