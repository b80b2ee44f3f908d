import { CalibrantError, type ImportanceMatrix } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readGguf } from '../src/file/read-gguf.js';
import { imatrixFiles } from '../src/imatrix/imatrix-files.js';
import { memorySink, memorySource } from './memory-files.js';

const f32 = Math.fround;
const MATRIX: ImportanceMatrix = {
  entries: new Map([
    ['blk.1.ffn_down_exps.weight', { sums: Float64Array.of(1, 2, 3, 4, 0, 0), counts: Float64Array.of(10, 20, 0) }],
    ['blk.0.attn_q.weight', { sums: Float64Array.of(0.5, 1.25, 7), counts: Float64Array.of(1024) }],
  ]),
  datasets: ['notes.txt', 'more.txt'],
  chunks: 2,
  chunkSize: 512,
};

async function written(matrix: ImportanceMatrix, layout: string): Promise<Uint8Array> {
  const sink = memorySink('imatrix');
  await imatrixFiles.write(matrix, sink, layout);
  return sink.bytes();
}
const read = (bytes: Uint8Array) => imatrixFiles.read(memorySource(bytes, 'file.imatrix'));

describe('an importance matrix as GGUF', () => {
  it('has llama-imatrix’s metadata and tensors, sorted by name', async () => {
    const bytes = await written(MATRIX, 'gguf');
    const { metadata, tensors } = await readGguf(memorySource(bytes));
    expect([...metadata]).toEqual([
      ['general.type', { type: 'string', value: 'imatrix' }],
      ['imatrix.datasets', { type: 'array', of: 'string', value: ['notes.txt', 'more.txt'] }],
      ['imatrix.chunk_count', { type: 'u32', value: 2 }],
      ['imatrix.chunk_size', { type: 'u32', value: 512 }],
    ]);
    expect([...tensors.values()].map(({ name, shape, type }) => [name, shape, type.name])).toEqual([
      ['blk.0.attn_q.weight.in_sum2', [3], 'F32'],
      ['blk.0.attn_q.weight.counts', [1], 'F32'],
      ['blk.1.ffn_down_exps.weight.in_sum2', [3, 2], 'F32'],
      ['blk.1.ffn_down_exps.weight.counts', [3, 1], 'F32'],
    ]);
  });

  it('is read back as it was', async () => {
    const back = await read(await written(MATRIX, 'gguf'));
    expect(back).toEqual({ ...MATRIX, entries: new Map([...MATRIX.entries].reverse()) });
  });

  it('is refused when it is another kind of file, or lacks counts', async () => {
    const bytes = await written(MATRIX, 'gguf');
    const replaced = (from: string, to: string) => Buffer.from(Buffer.from(bytes).toString('latin1').replace(from, to), 'latin1');
    await expect(read(replaced('imatrix', 'adapter'))).rejects.toThrow(/"general.type" must be "imatrix", found "adapter"/);
    await expect(read(replaced('attn_q.weight.counts', 'attn_q.weight.c0unts'))).rejects.toThrow(
      /blk\.0\.attn_q\.weight\.counts" is missing/,
    );
  });
});

describe('an importance matrix in the older layout', () => {
  /** Written out by hand from the layout's description. */
  function plain(): Uint8Array {
    const parts: Buffer[] = [];
    const int = (of: number) => {
      const buffer = Buffer.alloc(4);
      buffer.writeInt32LE(of);
      parts.push(buffer);
    };
    const text = (of: string) => {
      int(of.length);
      parts.push(Buffer.from(of));
    };
    int(1);
    text('blk.0.attn_q.weight');
    int(2); // calls
    int(3);
    parts.push(Buffer.from(Float32Array.of(0.5, 2, 3).buffer));
    int(2); // chunks
    text('wiki.train.raw');
    return Buffer.concat(parts);
  }

  it('gives value / calls as the mean square', async () => {
    const { entries, chunks, datasets } = await read(plain());
    const { sums, counts } = entries.get('blk.0.attn_q.weight')!;
    expect([...sums].map((sum) => sum / counts[0])).toEqual([0.25, 1, 1.5]);
    expect([chunks, datasets]).toEqual([2, ['wiki.train.raw']]);
  });

  it('is written with calls from the largest count, ones for experts without tokens, and without weights that saw none', async () => {
    const unseen = { sums: Float64Array.of(0, 0), counts: Float64Array.of(0) };
    const bytes = await written({ ...MATRIX, entries: new Map([...MATRIX.entries, ['blk.2.x.weight', unseen]]) }, 'dat');
    const { entries, datasets } = await read(bytes);
    expect([...entries.keys()]).toEqual(['blk.0.attn_q.weight', 'blk.1.ffn_down_exps.weight']);
    const { sums, counts } = entries.get('blk.1.ffn_down_exps.weight')!;
    expect([...sums].map((sum) => sum / counts[0])).toEqual([0.1, 0.2, 0.15, 0.2, 1, 1].map(f32));
    expect(entries.get('blk.0.attn_q.weight')!.counts[0]).toBe(1024);
    expect(datasets).toEqual(['more.txt']);
  });

  it('is read from files that end behind the entries', async () => {
    const { chunks, entries } = await read(plain().subarray(0, 4 + 4 + 19 + 8 + 12));
    expect([chunks, entries.size]).toEqual([0, 1]);
  });

  it('names the byte at which a file stops making sense', async () => {
    await expect(read(plain().subarray(0, 40))).rejects.toThrow(
      /file\.imatrix is no importance matrix.*at byte 31 it says that the number of values/s,
    );
    await expect(read(new TextEncoder().encode('Once upon a time there was a text'))).rejects.toThrow(/at byte 0/);
    await expect(read(new Uint8Array(2))).rejects.toThrow(/ends before/);
  });
});

it('files with any bytes changed are read or refused with the file named, never anything else', async () => {
  const files = [await written(MATRIX, 'gguf'), await written(MATRIX, 'dat')];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...files),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }),
      fc.nat(),
      async (file, flips, cut) => {
        const bytes = file.slice(0, cut % 3 === 0 ? cut % (file.length + 1) : file.length);
        for (const [at, value] of flips) if (bytes.length > 0) bytes[at % bytes.length] = value;
        const error = await read(bytes).then(
          () => undefined,
          (reason) => reason,
        );
        if (error) expect([CalibrantError.isInstance(error), error.message]).toEqual([true, expect.stringContaining('file.imatrix')]);
      },
    ),
    { numRuns: 3000 },
  );
});
