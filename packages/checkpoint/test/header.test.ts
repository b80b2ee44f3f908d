import { readSafetensorsHeader } from '@calibrant/checkpoint';
import { CalibrantError } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { memorySource, safetensorsBytes } from './safetensors-bytes.js';

const f32 = (shape: number[], begin: number, end: number) => ({ dtype: 'F32', shape, data_offsets: [begin, end] });
const read = (header: unknown, data: Uint8Array | number = 0) => readSafetensorsHeader(memorySource(safetensorsBytes(header, data)));

describe('readSafetensorsHeader', () => {
  it('gives tensors in file order with absolute offsets, and the metadata', async () => {
    const header = { b: f32([2], 8, 16), a: f32([1, 2], 0, 8), scalar: f32([], 16, 20), __metadata__: { format: 'pt' } };
    const bytes = safetensorsBytes(header, 20);
    const { tensors, metadata, dataStart } = await readSafetensorsHeader(memorySource(bytes));
    expect(dataStart).toBe(bytes.length - 20);
    expect([...tensors.values()]).toEqual([
      { name: 'a', dtype: 'f32', shape: [1, 2], offset: dataStart, bytes: 8 },
      { name: 'b', dtype: 'f32', shape: [2], offset: dataStart + 8, bytes: 8 },
      { name: 'scalar', dtype: 'f32', shape: [], offset: dataStart + 16, bytes: 4 },
    ]);
    expect(metadata).toEqual({ format: 'pt' });
  });

  it('reads the header alone and nothing of the tensors', async () => {
    const source = memorySource(safetensorsBytes({ a: f32([256], 0, 1024) }, 1024));
    const { dataStart } = await readSafetensorsHeader(source);
    expect(Math.max(...source.reads.map(({ offset, length }) => offset + length))).toBe(dataStart);
  });

  it('accepts empty tensors, an empty file of tensors, padding, and a tensor called __proto__', async () => {
    expect((await read({ empty: f32([0, 4], 0, 0), a: f32([1], 0, 4) }, 4)).tensors.size).toBe(2);
    expect((await read('{}    ')).tensors.size).toBe(0);
    expect([...(await read('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1)).tensors.keys()]).toEqual(['__proto__']);
  });

  const refused: [string, unknown, number, RegExp][] = [
    ['JSON that is not well-formed', '{"a":', 0, /not valid JSON/],
    ['a header that is a list', '[]', 0, /JSON object/],
    ['a header that begins with a space', ' {}', 0, /starts with "\{"/],
    ['metadata that is not a string', { __metadata__: { a: 1 } }, 0, /__metadata__/],
    ['a tensor that is not an object', { a: 7 }, 0, /"a" is described/],
    ['an unknown element type', { a: { dtype: 'Q9', shape: [1], data_offsets: [0, 1] } }, 1, /unknown element type "Q9"/],
    ['a negative size', { a: f32([-1], 0, 4) }, 4, /shape \[-1\]/],
    ['a fractional size', { a: f32([1.5], 0, 6) }, 6, /shape \[1.5\]/],
    ['a shape that is not a list', { a: { dtype: 'F32', shape: 'x', data_offsets: [0, 4] } }, 4, /shape "x"/],
    ['a size beyond exact integers', '{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]}}', 4, /shape/],
    ['a product that overflows', { a: f32([2 ** 40, 2 ** 40], 0, 4) }, 4, /takes 4835703278458516698824704 bytes/],
    ['a range of the wrong length', { a: f32([2], 0, 4) }, 4, /takes 8 bytes as F32 \[2\].*hold 4/],
    ['a range that runs backwards', { a: f32([1], 4, 0) }, 4, /begin ≤ end/],
    ['offsets that are not a pair', { a: { dtype: 'F32', shape: [1], data_offsets: [0, 4, 8] } }, 4, /data_offsets/],
    ['overlapping ranges', { a: f32([2], 0, 8), b: f32([2], 4, 12) }, 12, /"b" begins .* overlaps/],
    ['two tensors over one range', { a: f32([2], 0, 8), b: f32([2], 0, 8) }, 8, /overlaps/],
    ['a hole between tensors', { a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12, /"b" begins .* hole/],
    ['a hole before the first tensor', { a: f32([1], 4, 8) }, 8, /hole/],
    ['bytes that belong to no tensor', { a: f32([1], 0, 4) }, 5, /belong to no tensor/],
    [
      'a repeated tensor',
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
      /"a" twice/,
    ],
    [
      'a repetition hidden by an escape',
      '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
      0,
      /"a" twice/,
    ],
    ['a repeated field of a tensor', '{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', 1, /"dtype" twice/],
  ];
  it.each(refused)('refuses %s', async (_, header, data, message) => {
    const error = await read(header, data).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(CalibrantError);
    expect(error.code).toBe('CORRUPT_FILE');
    expect(error.message).toMatch(message);
    expect(error.message).toContain('model.safetensors');
  });

  it('says which types it cannot compute with', async () => {
    await expect(read({ a: { dtype: 'C64', shape: [1], data_offsets: [0, 8] } }, 8)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      details: { tensor: 'a' },
    });
  });

  it('gives both sizes when the file is cut off', async () => {
    const whole = safetensorsBytes({ a: f32([100], 0, 400) }, 400);
    const error = await readSafetensorsHeader(memorySource(whole.subarray(0, whole.length - 1))).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'CORRUPT_FILE', details: { expectedBytes: whole.length, foundBytes: whole.length - 1 } });
    expect(error.message).toContain(`describes a file of ${whole.length} bytes, but it has ${whole.length - 1}`);
  });

  it('does not read a header that its length says is huge or longer than the file', async () => {
    for (const length of [100_000_001n, 2n ** 64n - 1n, 1000n]) {
      const bytes = safetensorsBytes('{}');
      new DataView(bytes.buffer).setBigUint64(0, length, true);
      const source = memorySource(bytes);
      await expect(readSafetensorsHeader(source)).rejects.toMatchObject({ code: 'CORRUPT_FILE' });
      expect(source.reads).toEqual([{ offset: 0, length: 8 }]);
    }
    await expect(readSafetensorsHeader(memorySource(new Uint8Array(7)))).rejects.toThrow(/has 7 bytes/);
  });

  it('answers every mutation of a file with a header or a CalibrantError', async () => {
    const bytes = safetensorsBytes(
      { __metadata__: { format: 'pt' }, 'model.a': f32([2, 2], 0, 16), b: { dtype: 'BF16', shape: [3], data_offsets: [16, 22] } },
      22,
    );
    const mutation = fc.record({ at: fc.nat(bytes.length - 23), byte: fc.integer({ min: 0, max: 255 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 4 }), fc.nat(bytes.length), async (mutations, cut) => {
        const mutated = bytes.slice(0, cut % 3 === 0 ? cut : bytes.length);
        for (const { at, byte } of mutations) if (at < mutated.length) mutated[at] = byte;
        const outcome = await readSafetensorsHeader(memorySource(mutated)).catch((error) => error);
        if (CalibrantError.isInstance(outcome)) return;
        // Whatever is accepted can be read without leaving the file.
        let at = outcome.dataStart;
        for (const entry of outcome.tensors.values()) {
          expect(entry.offset).toBe(at);
          at += entry.bytes;
        }
        expect(at).toBe(mutated.length);
      }),
      { numRuns: 2000 },
    );
  });

  it('takes a hundred thousand tensors in a moment', async () => {
    const header: Record<string, unknown> = {};
    for (let i = 0; i < 100_000; i++) header[`model.layers.${i}.weight`] = { dtype: 'U8', shape: [1], data_offsets: [i, i + 1] };
    const started = performance.now();
    expect((await read(header, 100_000)).tensors.size).toBe(100_000);
    expect(performance.now() - started).toBeLessThan(5000);
  });
});
