import { createReferenceBackend } from '@calibrant/core';
import { diffGguf, dumpGguf, GgufWriter, ggufValue, layOut, readGguf, readGgufModel, verifyGguf } from '@calibrant/gguf-format';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { memorySink, memorySource } from './memory-files.js';
import { smallMetadata, smallModel, smallTensors } from './small-model.js';

const backend = createReferenceBackend();
let whole: Uint8Array;
beforeAll(async () => {
  whole = await smallModel();
});
const model = (bytes: Uint8Array, name = 'model.gguf') => readGgufModel(memorySource(bytes, name));
const faultsOf = async (bytes: Uint8Array) => (await verifyGguf(memorySource(bytes))).faults;

async function placeOf(name: string): Promise<number> {
  return (await readGguf(memorySource(whole))).tensors.get(name)?.offset ?? 0;
}

/** A file without tensor data worth a name, of one tensor of a type that may have no encoder. */
async function fileOf(type: { id: number; name: string; blockSize: number; blockBytes: number }, blocks: Uint8Array): Promise<Uint8Array> {
  const plan = { name: 'a.weight', shape: [(blocks.length / type.blockBytes) * type.blockSize], type };
  const sink = memorySink();
  const writer = new GgufWriter(sink, layOut(new Map([['general.type', ggufValue.string('adapter')]]), [plan]));
  await writer.write('a.weight', 0, blocks);
  await writer.finish();
  return sink.bytes();
}

describe('dump', () => {
  it('shows keys with types, long arrays and strings cut, and where tensors lie', async () => {
    const extra: typeof smallMetadata = new Map([
      ...smallMetadata,
      ['a.numbers', ggufValue.i32s(Array.from({ length: 9 }, (_, i) => i))],
      ['a.text', ggufValue.string('x'.repeat(200))],
      ['a.big', { type: 'u64', value: 2n ** 63n }],
      ['a.nan', ggufValue.f32(Number.NaN)],
    ]);
    const dump = dumpGguf(await model(await smallModel({ metadata: extra })));
    expect(dump.metadata.slice(-4)).toEqual([
      { key: 'a.numbers', type: 'i32[]', value: [0, 1, 2, 3, 4, 5], length: 9 },
      { key: 'a.text', type: 'string', value: 'x'.repeat(120), length: 200 },
      { key: 'a.big', type: 'u64', value: '9223372036854775808' },
      { key: 'a.nan', type: 'f32', value: 'NaN' },
    ]);
    expect(dump.tensors[0]).toMatchObject({ name: 'token_embd.weight', type: 'Q8_0', shape: [6, 64], bytes: 408, file: 'model.gguf' });
    expect(dump.files).toMatchObject([{ name: 'model.gguf', version: 3, alignment: 32, tensors: 11 }]);
    expect(JSON.parse(JSON.stringify(dump))).toEqual(dump);
  });
});

describe('verify', () => {
  it('finds nothing wrong with a model in order', async () => {
    expect(await verifyGguf(memorySource(whole))).toMatchObject({ faults: [], files: 1, tensors: 11 });
  });

  it('reports damage that ends reading as one fault with its place', async () => {
    expect(await faultsOf(whole.subarray(0, 300))).toEqual([
      { at: 'model.gguf', offset: expect.any(Number), message: expect.stringMatching(/^model.gguf at byte \d+: .*truncated or damaged/) },
    ]);
  });

  it('names the first block with a scale that is no number, and how many there are', async () => {
    const at = await placeOf('blk.0.attn_q.weight');
    const damaged = whole.slice();
    for (const block of [3, 7]) damaged.set([0x00, 0x7c], at + 18 * block);
    const norm = await placeOf('output_norm.weight');
    damaged.set([0, 0, 0xc0, 0x7f], norm + 4 * 5);
    expect(await faultsOf(damaged)).toEqual([
      {
        at: 'blk.0.attn_q.weight',
        offset: at + 18 * 3,
        message: 'Tensor "blk.0.attn_q.weight" (Q4_0): 2 of 128 blocks are unusable; block 3 has a scale that is not finite.',
      },
      {
        at: 'output_norm.weight',
        offset: norm + 20,
        message: expect.stringMatching(/1 of 64 elements are unusable; element 5 is not finite/),
      },
    ]);
  });

  const scales: [string, number, number, number, [number, number[]][]][] = [
    [
      'Q2_K',
      10,
      256,
      84,
      [
        [80, [0, 0x7c]],
        [82, [1, 0xfc]],
      ],
    ],
    ['Q3_K', 11, 256, 110, [[108, [0, 0x7c]]]],
    [
      'Q4_K',
      12,
      256,
      144,
      [
        [0, [0, 0x7e]],
        [2, [0, 0x7c]],
      ],
    ],
    ['Q6_K', 14, 256, 210, [[208, [0, 0x7c]]]],
    ['IQ2_XXS', 16, 256, 66, [[0, [0, 0x7c]]]],
    ['IQ1_M', 29, 256, 56, [[52, [0, 0xc0, 0, 0x70]]]],
    ['TQ1_0', 34, 256, 54, [[52, [0, 0x7c]]]],
    ['TQ2_0', 35, 256, 66, [[64, [0, 0x7c]]]],
    ['MXFP4', 39, 32, 17, [[0, [255]]]],
    ['F64', 28, 1, 8, [[6, [0xf0, 0x7f]]]],
    ['BF16', 30, 1, 2, [[0, [0x80, 0x7f]]]],
    ['F16', 1, 1, 2, [[0, [0, 0xfc]]]],
  ];
  it.each(scales)('knows where the scales of %s are', async (name, id, blockSize, blockBytes, bad) => {
    const type = { id, name, blockSize, blockBytes };
    expect(await faultsOf(await fileOf(type, new Uint8Array(3 * blockBytes).fill(0x11)))).toEqual([]);
    for (const [place, bytes] of bad) {
      const blocks = new Uint8Array(3 * blockBytes);
      blocks.set(bytes, 2 * blockBytes + place);
      expect(await faultsOf(await fileOf(type, blocks))).toMatchObject([
        { message: expect.stringMatching(/1 of 3 (block|element)s are unusable; (block|element) 2 /) },
      ]);
    }
  });

  const metadataCases: [
    string,
    [string, (typeof smallMetadata extends ReadonlyMap<string, infer V> ? V : never) | undefined][],
    RegExp[],
  ][] = [
    ['no tokenizer', [['tokenizer.ggml.model', undefined]], [/"tokenizer.ggml.model" must be there/]],
    ['no tokens', [['tokenizer.ggml.tokens', undefined]], [/"tokenizer.ggml.tokens" must be there/]],
    ['no merges', [['tokenizer.ggml.merges', undefined]], [/"tokenizer.ggml.merges" must be there/]],
    ['too few types', [['tokenizer.ggml.token_type', ggufValue.i32s([1])]], [/array of 6 i32, one for each token/]],
    [
      'too few tokens',
      [['tokenizer.ggml.tokens', ggufValue.strings(['a'])]],
      [/has 1 tokens, but the embedding has 6 rows/, /array of 1 i32/, /one of 1 tokens, found 5/],
    ],
    ['a token that is not there', [['tokenizer.ggml.eos_token_id', ggufValue.u32(6)]], [/one of 6 tokens, found 6/]],
    [
      'no sizes',
      [
        ['llama.block_count', undefined],
        ['llama.context_length', ggufValue.string('9')],
      ],
      [/llama.context_length/, /llama.block_count/],
    ],
    ['a block too many', [['llama.block_count', ggufValue.u32(0)]], [/is 0, but there is a tensor "blk.0.attn_norm.weight"/]],
    ['no architecture', [['general.architecture', undefined]], [/"general.architecture" must be there/]],
  ];
  it.each(metadataCases)('reports metadata: %s', async (_what, changes, messages) => {
    const metadata = new Map(smallMetadata);
    for (const [key, entry] of changes)
      if (entry) metadata.set(key, entry);
      else metadata.delete(key);
    expect((await faultsOf(await smallModel({ metadata }))).map(({ message }) => message)).toEqual(
      messages.map((message) => expect.stringMatching(message)),
    );
  });

  it('accepts models without a vocabulary, and −1 for a token that there is not', async () => {
    const none = new Map([...smallMetadata].filter(([key]) => !key.startsWith('tokenizer.')));
    none.set('tokenizer.ggml.model', ggufValue.string('none'));
    expect(await faultsOf(await smallModel({ metadata: none }))).toEqual([]);
    const minusOne = new Map([...smallMetadata, ['tokenizer.ggml.bos_token_id', ggufValue.u32(2 ** 32 - 1)] as const]);
    expect(await faultsOf(await smallModel({ metadata: minusOne }))).toEqual([]);
  });

  it('reports gaps between tensors, which llama.cpp refuses, and bytes behind the last one', async () => {
    const moved = whole.slice();
    const second = Buffer.from(moved).indexOf('output_norm.weight') + 18 + 4 + 8 + 4;
    const place = new DataView(moved.buffer).getBigUint64(second, true);
    const longer = new Uint8Array(whole.length + 32);
    longer.set(moved);
    new DataView(longer.buffer).setBigUint64(second, place + 32n, true);
    expect((await faultsOf(longer)).map(({ message }) => message)).toEqual([expect.stringMatching(/begins at byte \d+ and not at \d+/)]);
    expect((await faultsOf(Buffer.concat([whole, Buffer.alloc(7)]))).map(({ message }) => message)).toEqual([
      expect.stringMatching(/7 bytes behind the last tensor belong to nothing/),
    ]);
  });
});

describe('diff', () => {
  it('finds equal models equal, wherever their tensors lie', async () => {
    const reversed = await smallModel({ metadata: new Map([...smallMetadata].reverse()) });
    expect(await diffGguf(await model(whole), await model(reversed), { backend })).toEqual({
      equal: true,
      metadata: [],
      tensors: [],
      equalTensors: 11,
    });
  });

  it('tells what differs in metadata', async () => {
    const metadata = new Map([
      ...smallMetadata,
      ['general.name', ggufValue.string('other')] as const,
      ['new', ggufValue.bool(true)] as const,
    ]);
    metadata.delete('llama.vocab_size');
    metadata.set('tokenizer.ggml.token_type', ggufValue.i32s([1, 1, 6, 1, 6, 3]));
    metadata.set('llama.block_count', { type: 'u64', value: 1n });
    const { equal, metadata: found } = await diffGguf(await model(whole), await model(await smallModel({ metadata })), { backend });
    expect(equal).toBe(false);
    expect(found).toEqual([
      { key: 'general.name', a: { type: 'string', value: 'small' }, b: { type: 'string', value: 'other' } },
      { key: 'llama.block_count', a: { type: 'u32', value: 1 }, b: { type: 'u64', value: 1 } },
      { key: 'llama.vocab_size', a: { type: 'u32', value: 6 } },
      expect.objectContaining({ key: 'tokenizer.ggml.token_type', elements: { count: 2, first: 2 } }),
      { key: 'new', b: { type: 'bool', value: true } },
    ]);
  });

  it('measures tensors of other bytes or types, and names missing ones and other shapes', async () => {
    const damaged = whole.slice();
    const norm = await placeOf('output_norm.weight');
    const view = new DataView(damaged.buffer);
    const [third, fourth] = [view.getFloat32(norm + 12, true), view.getFloat32(norm + 16, true)];
    view.setFloat32(norm + 12, third + 3, true);
    view.setFloat32(norm + 16, fourth - 4, true);
    view.setFloat32(norm, Number.NaN, true);
    const first = await diffGguf(await model(whole), await model(damaged), { backend });
    expect(first).toMatchObject({ equal: false, equalTensors: 10 });
    expect(first.tensors).toEqual([{ name: 'output_norm.weight', kind: 'values', a: 'F32', b: 'F32', difference: expect.anything() }]);
    const [values] = first.tensors;
    if (values.kind !== 'values' || !values.difference) throw new Error('no difference was measured');
    expect(values.difference.max).toBeCloseTo(4, 6);
    expect(values.difference.rms).toBeCloseTo(Math.sqrt(25 / 64), 6);
    expect(values.difference.nonFinite).toBe(1);

    const others = smallTensors.map((of) => (of.name === 'blk.0.attn_q.weight' ? { ...of, type: 'F32' as const } : of));
    const tensors = [...others.slice(0, -2), { name: 'blk.0.ffn_down.weight', shape: [32, 64], type: 'Q8_0' as const }];
    const { tensors: found } = await diffGguf(await model(whole), await model(await smallModel({ tensors })), { backend });
    expect(found).toEqual([
      { name: 'blk.0.attn_q.weight', kind: 'values', a: 'Q4_0', b: 'F32', difference: expect.objectContaining({ nonFinite: 0 }) },
      { name: 'blk.0.ffn_down.weight', kind: 'shape', a: [64, 64], b: [32, 64] },
      { name: 'output_norm.weight', kind: 'only-in-a', type: 'F32', shape: [64] },
    ]);
    // Four bits over ±1: the step is 1/8, uniform errors of half of it.
    const relative = found[0].kind === 'values' ? (found[0].difference?.relativeRms ?? 0) : 0;
    expect(relative).toBeGreaterThan(0.02);
    expect(relative).toBeLessThan(0.1);
  });

  it('says that types without a decoder differ, without numbers', async () => {
    const type = { id: 28, name: 'F64', blockSize: 1, blockBytes: 8 };
    const [a, b] = [await fileOf(type, new Uint8Array(16)), await fileOf(type, new Uint8Array(16).fill(1))];
    expect((await diffGguf(await model(a), await model(b), { backend })).tensors).toEqual([
      { name: 'a.weight', kind: 'values', a: 'F64', b: 'F64' },
    ]);
  });
});
