import { createReferenceBackend } from '@calibrant/core';
import { BLOCK_TYPES, decodeRawRows, encodeRawRows, readImportance } from '@calibrant/gguf-format';
import { describe, expect, it } from '@jest/globals';
import { COLUMNS, golden, importance } from './golden.js';
import { memorySink, memorySource } from './memory-files.js';

const backend = createReferenceBackend();

describe('raw rows', () => {
  const options = { backend, type: BLOCK_TYPES.Q4_K, columns: COLUMNS };

  it('are encoded piece by piece to the bytes of ggml, with and without importance, and decoded again', async () => {
    const from = memorySource(golden('input.f32'));
    const [plain, weighted, floats] = [memorySink(), memorySink(), memorySink()];
    expect(await encodeRawRows(from, plain, options)).toBe(12);
    await encodeRawRows(from, weighted, { ...options, importance: importance().data as Float32Array });
    await decodeRawRows(memorySource(plain.bytes()), floats, options);
    expect(plain.bytes()).toEqual(golden('q4_K.bin'));
    expect(weighted.bytes()).toEqual(golden('q4_K.imatrix.bin'));
    expect(floats.bytes()).toEqual(golden('q4_K.dequant.f32'));
  });

  it('come out in order however many pieces there are', async () => {
    const values = Float32Array.from({ length: 5 * 2 ** 20 }, (_, i) => i);
    const sink = memorySink();
    let pieces = 0;
    const onEvent = () => void pieces++;
    await encodeRawRows(memorySource(new Uint8Array(values.buffer)), sink, { backend, type: BLOCK_TYPES.F32, columns: 2 ** 19, onEvent });
    expect(pieces).toBe(5);
    expect(Buffer.from(sink.bytes()).equals(Buffer.from(values.buffer))).toBe(true);
  });

  it('must fit the type and the columns', async () => {
    const from = (length: number) => memorySource(new Uint8Array(length), 'in.f32');
    await expect(encodeRawRows(from(4096), memorySink(), { ...options, columns: 100 })).rejects.toThrow(
      /Q4_K holds rows of a multiple of 256 columns, found 100/,
    );
    await expect(encodeRawRows(from(4097), memorySink(), options)).rejects.toThrow(
      /in.f32 has 4097 bytes.*1024 columns takes 4096 bytes of f32/,
    );
    await expect(decodeRawRows(from(577), memorySink(), options)).rejects.toThrow(/takes 576 bytes as Q4_K/);
    await expect(encodeRawRows(from(4096), memorySink(), { ...options, importance: new Float32Array(9) })).rejects.toThrow(
      /each of the 1024 columns, found 9/,
    );
    const bad = new Float32Array(1024).fill(1);
    bad[7] = -1;
    await expect(encodeRawRows(from(4096), memorySink(), { ...options, importance: bad })).rejects.toThrow(/importance of column 7 is -1/);
    await expect(readImportance(from(8), 3)).rejects.toThrow(/has 8 bytes; importance for 3 columns takes 12/);
  });

  it('that are no numbers are refused by blocks, naming row and column, and kept by floats', async () => {
    const x = new Float32Array(2048);
    x[1029] = Number.POSITIVE_INFINITY;
    const from = memorySource(new Uint8Array(x.buffer));
    await expect(encodeRawRows(from, memorySink(), options)).rejects.toMatchObject({
      code: 'NON_FINITE',
      message: expect.stringMatching(/row 1, column 5 is Infinity/),
    });
    const sink = memorySink();
    await encodeRawRows(from, sink, { ...options, type: BLOCK_TYPES.F16 });
    expect(sink.bytes().subarray(2 * 1029, 2 * 1029 + 2)).toEqual(new Uint8Array([0, 0x7c]));
  });

  it('stop when they are cancelled', async () => {
    await expect(
      encodeRawRows(memorySource(golden('input.f32')), memorySink(), { ...options, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
