import { BLOCK_TYPES, type GgufMetadata, GgufWriter, ggufValue, layOut, readGguf } from '@calibrant/gguf-format';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { memorySink, memorySource } from './memory-files.js';

const metadata: GgufMetadata = new Map([
  ['general.architecture', ggufValue.string('llama')],
  ['a.u8', { type: 'u8', value: 200 }],
  ['a.i8', { type: 'i8', value: -3 }],
  ['a.u16', { type: 'u16', value: 65535 }],
  ['a.i16', { type: 'i16', value: -300 }],
  ['a.u32', ggufValue.u32(2 ** 32 - 1)],
  ['a.i32', { type: 'i32', value: -(2 ** 31) }],
  ['a.f32', ggufValue.f32(0.5)],
  ['a.bool', ggufValue.bool(true)],
  ['a.u64', { type: 'u64', value: 2n ** 63n }],
  ['a.i64', { type: 'i64', value: -(2n ** 62n) }],
  ['a.f64', { type: 'f64', value: 0.1 }],
  ['a.strings', ggufValue.strings(['', 'ä', '▁the'])],
  ['a.i32s', ggufValue.i32s([1, -2, 3])],
  ['a.f32s', ggufValue.f32s([0.25])],
  ['a.bools', { type: 'array', of: 'bool', value: [true, false] }],
]);
const plan = [
  { name: 'token_embd.weight', shape: [3, 64], type: BLOCK_TYPES.Q8_0 },
  { name: 'blk.0.attn_norm.weight', shape: [5], type: BLOCK_TYPES.F32 },
];

async function write(of: GgufMetadata = metadata, tensors = plan): Promise<Uint8Array> {
  const sink = memorySink();
  const writer = new GgufWriter(sink, layOut(of, tensors));
  for (const { name, shape, type } of [...tensors].reverse()) {
    const bytes = (shape.reduce((a, b) => a * b) / type.blockSize) * type.blockBytes;
    const half = Math.floor(bytes / 2);
    await writer.write(name, 0, new Uint8Array(half).fill(1));
    await writer.write(name, half, new Uint8Array(bytes - half).fill(2));
  }
  await writer.finish();
  return sink.bytes();
}

/** Overwrites bytes at the place where `text` stands first, plus an offset. */
function patched(bytes: Uint8Array, text: string, offset: number, ...values: number[]): Uint8Array {
  const copy = bytes.slice();
  const at = Buffer.from(bytes).indexOf(text);
  expect(at).toBeGreaterThan(0);
  copy.set(values, at + offset);
  return copy;
}

describe('a GGUF file', () => {
  it('reads back as it was written: all value types, shapes, types and aligned places', async () => {
    const bytes = await write();
    const file = await readGguf(memorySource(bytes));
    expect(file.metadata).toEqual(metadata);
    expect([...file.metadata.keys()]).toEqual([...metadata.keys()]);
    const [embedding, norm] = [...file.tensors.values()];
    expect(embedding).toMatchObject({ name: 'token_embd.weight', shape: [3, 64], bytes: 204, type: { name: 'Q8_0' } });
    expect(norm).toMatchObject({ name: 'blk.0.attn_norm.weight', shape: [5], bytes: 20 });
    expect([embedding.offset % 32, norm.offset]).toEqual([0, embedding.offset + 224]);
    expect([...bytes.subarray(embedding.offset, embedding.offset + 204)]).toEqual([...Array(102).fill(1), ...Array(102).fill(2)]);
    expect(bytes.length).toBe(layOut(metadata, plan).bytes);
  });

  it('keeps another alignment', async () => {
    const bytes = await write(new Map([...metadata, ['general.alignment', ggufValue.u32(256)]]));
    const file = await readGguf(memorySource(bytes));
    expect([...file.tensors.values()].map(({ offset }) => offset % 256)).toEqual([0, 0]);
  });

  it('is read in version 2 too', async () => {
    const bytes = await write();
    bytes[4] = 2;
    expect((await readGguf(memorySource(bytes))).version).toBe(2);
  });

  it('is no GGUF file before it is finished', async () => {
    const sink = memorySink();
    const writer = new GgufWriter(sink, layOut(metadata, plan));
    await writer.write('token_embd.weight', 0, new Uint8Array(204));
    await expect(writer.finish()).rejects.toThrow(/only 0 of 20 bytes of tensor "blk.0.attn_norm.weight" were written/);
    await writer.abort();
    expect(sink.closed).toBe(true);
    await expect(readGguf(memorySource(sink.bytes()))).rejects.toThrow(/not a GGUF file/);
  });
});

describe('the writer refuses', () => {
  it('bytes that are not planned', async () => {
    const writer = new GgufWriter(memorySink(), layOut(metadata, plan));
    await expect(writer.write('output.weight', 0, new Uint8Array(1))).rejects.toThrow(/no tensor "output.weight" is planned/);
    await expect(writer.write('token_embd.weight', 0, new Uint8Array(205))).rejects.toThrow(/has 204 bytes, cannot write 205 at 0/);
    await writer.write('token_embd.weight', 0, new Uint8Array(204));
    await expect(writer.write('token_embd.weight', 0, new Uint8Array(1))).rejects.toThrow(/when 204 are written/);
  });

  it('names and shapes that GGUF does not hold', () => {
    expect(() => layOut(metadata, [plan[0], plan[0]])).toThrow(/two tensors are named "token_embd.weight"/);
    expect(() => layOut(metadata, [{ ...plan[0], name: 'x'.repeat(64) }])).toThrow(/longer than 63 bytes/);
    expect(() => layOut(metadata, [{ ...plan[0], shape: [3, 33] }])).toThrow(/\[3, 33\] cannot be stored as Q8_0.*multiple of 32/);
  });
});

describe('the reader refuses, naming file and byte,', () => {
  const cases: [string, (bytes: Uint8Array) => Uint8Array, RegExp][] = [
    ['another file', () => new TextEncoder().encode('PK\x03\x04 not a model'), /model.gguf at byte 0: .*does not begin with "GGUF"/],
    ['an empty file', () => new Uint8Array(0), /not a GGUF file/],
    ['version 1', (bytes) => bytes.with(4, 1), /versions 2 and 3 are read, found 1/],
    ['a big-endian file', (bytes) => bytes.with(4, 0).with(7, 3), /big-endian/],
    ['more tensors than the file can hold', (bytes) => bytes.with(14, 1), /number of tensors is 281474976710658, more than/],
    ['more metadata than the file can hold', (bytes) => bytes.with(20, 1), /number of metadata entries/],
    ['a key longer than the file', (bytes) => bytes.with(28, 9), /length of the key of metadata entry 0/],
    [
      'a string longer than the file',
      (bytes) => patched(bytes, 'general.architecture', 20 + 4 + 5, 1),
      /length of the metadata "general.architecture"/,
    ],
    ['an unknown value type', (bytes) => patched(bytes, 'a.u8', 4, 77), /"a.u8" has the unknown value type 77/],
    ['a boolean that is none', (bytes) => patched(bytes, 'a.bool', 6 + 4, 2), /"a.bool" must be a boolean \(0 or 1\), found 2/],
    ['arrays within arrays', (bytes) => patched(bytes, 'a.i32s', 6 + 4, 9), /"a.i32s" has arrays as elements/],
    ['an array longer than the file', (bytes) => patched(bytes, 'a.i32s', 6 + 8 + 4, 1), /length of the array "a.i32s"/],
    ['a key that is there twice', (bytes) => patched(bytes, 'a.i32s', 2, ...Buffer.from('f32s')), /"a.f32s" is there twice/],
    ['five dimensions', (bytes) => patched(bytes, 'token_embd.weight', 17, 5), /has 5 dimensions/],
    ['a dimension of zero', (bytes) => patched(bytes, 'token_embd.weight', 17 + 4, 0), /impossible shape/],
    [
      'a dimension beyond counting',
      (bytes) => patched(bytes, 'token_embd.weight', 17 + 4 + 7, 255),
      /dimension 0 of tensor "token_embd.weight" is/,
    ],
    [
      'rows that blocks do not divide',
      (bytes) => patched(bytes, 'token_embd.weight', 17 + 4, 65),
      /rows of 65 elements, which Q8_0 blocks of 32/,
    ],
    ['an unknown tensor type', (bytes) => patched(bytes, 'token_embd.weight', 17 + 20, 4), /"token_embd.weight" has the unknown type 4/],
    [
      'a misaligned tensor',
      (bytes) => patched(bytes, 'blk.0.attn_norm.weight', 22 + 16, 225),
      /begins at data byte 225, which is not a multiple of the alignment 32/,
    ],
    [
      'overlapping tensors',
      (bytes) => patched(bytes, 'blk.0.attn_norm.weight', 22 + 16, 192),
      /"token_embd.weight" and "blk.0.attn_norm.weight" overlap/,
    ],
    [
      'a tensor behind the end',
      (bytes) => patched(bytes, 'blk.0.attn_norm.weight', 22 + 17, 1),
      /"blk.0.attn_norm.weight" \(F32 \[5\]\) should take bytes .* but the file ends at/,
    ],
    ['a truncated file', (bytes) => bytes.subarray(0, bytes.length - 30), /truncated or damaged/],
  ];

  it.each(cases)('%s', async (_what, damage, message) => {
    const damaged = readGguf(memorySource(damage(await write())));
    await expect(damaged).rejects.toThrow(message);
    await expect(damaged).rejects.toMatchObject({ code: 'CORRUPT_FILE', details: { file: 'model.gguf' } });
  });

  it('an alignment that is no power of two', async () => {
    const layout = new Map([...metadata, ['general.alignment', { type: 'u32', value: 24 } as const]]);
    await expect(readGguf(memorySource(await write(layout)))).rejects.toThrow(
      /"general.alignment" must be a u32 power of two, found u32 24/,
    );
  });

  it('two tensors of one name', async () => {
    const twins = [plan[1], { ...plan[1], name: 'blk.1.attn_norm.weight' }];
    const bytes = patched(await write(metadata, twins), 'blk.1.attn', 4, 0x30);
    await expect(readGguf(memorySource(bytes))).rejects.toThrow(/"blk.0.attn_norm.weight" is there twice/);
  });

  it('any damage to the header without hanging or failing in an unforeseen way', async () => {
    const bytes = await write();
    const { offset } = [...(await readGguf(memorySource(bytes))).tensors.values()][0];
    const change = fc.tuple(fc.integer({ min: 0, max: offset - 1 }), fc.integer({ min: 0, max: 255 }));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const damaged = bytes.slice();
        for (const [at, byte] of changes) damaged[at] = byte;
        const error = await readGguf(memorySource(damaged)).catch((caught) => caught);
        if (error instanceof Error) expect(error).toMatchObject({ code: 'CORRUPT_FILE' });
      }),
      { numRuns: 500 },
    );
  });
});
