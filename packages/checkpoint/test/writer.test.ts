import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createSafetensorsWriter,
  createShardedWriter,
  openModelFolder,
  outputFolder,
  readSafetensorsHeader,
  readSafetensorsTensor,
} from '@calibrant/checkpoint';
import { DTYPES, type DType, type Tensor, tensor } from '@calibrant/core';
import { parseSafetensorsShardFilename } from '@huggingface/hub';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { memorySink, memorySource } from './safetensors-bytes.js';
import { temporaryFolder } from './temporary-folder.js';

function filled(dtype: DType, shape: number[], seed: number): Tensor {
  const made = tensor(dtype, shape);
  const bytes = new Uint8Array(made.data.buffer);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (seed * 31 + i * 7 + (i >> 8)) & 255;
  return made;
}

describe('createSafetensorsWriter', () => {
  it('writes the header of the specification: little-endian length, JSON padded with spaces to 8 bytes, format pt', async () => {
    const sink = memorySink();
    const writer = await createSafetensorsWriter(sink, [{ name: 'w', dtype: 'bf16', shape: [1, 2] }]);
    await writer.write('w', tensor('bf16', [1, 2], Uint16Array.of(0x3f80, 0x4000)));
    await writer.finish();
    const bytes = sink.bytes();
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    expect(new TextDecoder().decode(bytes.subarray(8, 8 + length)).trimEnd()).toBe(
      '{"__metadata__":{"format":"pt"},"w":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}}',
    );
    expect([...bytes.subarray(8 + length)]).toEqual([0x80, 0x3f, 0x00, 0x40]);
    expect(sink.closed).toBe(true);
  });

  it('gives back every type, shape and value, written by rows in any order', async () => {
    const specs = fc.uniqueArray(
      fc.record({
        name: fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' }).filter((name) => name !== '__metadata__'),
        dtype: fc.constantFrom(...(Object.keys(DTYPES) as DType[])),
        shape: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 }),
      }),
      { selector: ({ name }) => name, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(specs, fc.boolean(), async (tensors, backwards) => {
        const sink = memorySink();
        const writer = await createSafetensorsWriter(sink, tensors);
        const values = new Map(tensors.map(({ name, dtype, shape }, i) => [name, filled(dtype, shape, i)]));
        for (const [name, value] of backwards ? [...values].reverse() : values) {
          const count = value.shape[0] ?? 1;
          if (value.shape.length === 0) await writer.write(name, value);
          else
            for (let r = 0; r < count; r++) {
              const row = backwards ? count - 1 - r : r;
              const size = value.data.length / count;
              const part = tensor(value.dtype, [1, ...value.shape.slice(1)], value.data.slice(row * size, (row + 1) * size));
              await writer.write(name, part, { row });
            }
        }
        await writer.finish();
        const source = memorySource(sink.bytes());
        const header = await readSafetensorsHeader(source);
        expect(header.tensors.size).toBe(tensors.length);
        for (const [name, value] of values) {
          const entry = header.tensors.get(name);
          expect(await readSafetensorsTensor(source, entry as NonNullable<typeof entry>)).toEqual(value);
          expect((entry as NonNullable<typeof entry>).offset % DTYPES[value.dtype].bytes).toBe(0);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('does not finish while a row is missing, and names it', async () => {
    const writer = await createSafetensorsWriter(memorySink(), [{ name: 'w', dtype: 'f32', shape: [4, 2] }]);
    await writer.write('w', tensor('f32', [1, 2]), { row: 0 });
    await writer.write('w', tensor('f32', [2, 2]), { row: 2 });
    await expect(writer.finish()).rejects.toThrow(/row 1 of tensor "w" was never written/);
    await writer.write('w', tensor('f32', [1, 2]), { row: 1 });
    await writer.finish();
  });

  it('refuses what was not announced', async () => {
    const writer = await createSafetensorsWriter(memorySink(), [{ name: 'w', dtype: 'f32', shape: [4, 2] }]);
    await expect(writer.write('v', tensor('f32', [4, 2]))).rejects.toMatchObject({ code: 'UNKNOWN_NAME' });
    await expect(writer.write('w', tensor('f16', [4, 2]))).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
    await expect(writer.write('w', tensor('f32', [4, 3]))).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
    await expect(writer.write('w', tensor('f32', [2, 2]), { row: 3 })).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
    await expect(writer.write('w', tensor('f32', [2, 2]), { row: -1 })).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
    const twice = [1, 2].map(() => ({ name: 'w', dtype: 'f32' as const, shape: [1] }));
    await expect(createSafetensorsWriter(memorySink(), twice)).rejects.toMatchObject({ code: 'DUPLICATE_NAME' });
  });

  it('writes tensors that lie on shared memory', async () => {
    const sink = memorySink();
    const shared = new Float32Array(new SharedArrayBuffer(8));
    shared.set([1, 2]);
    const writer = await createSafetensorsWriter(sink, [{ name: 'w', dtype: 'f32', shape: [2] }]);
    await writer.write('w', tensor('f32', [2], shared));
    await writer.finish();
    expect([...new Float32Array(sink.bytes().slice(-8).buffer)]).toEqual([1, 2]);
  });
});

describe('createShardedWriter', () => {
  const specs = [3, 2, 4, 1].map((rows, i) => ({ name: `layer.${i}`, dtype: 'f32' as const, shape: [rows, 4] }));

  async function written(maxShardBytes?: number): Promise<string> {
    const path = await temporaryFolder();
    const folder = outputFolder(path);
    await folder.writeText('config.json', '{"model_type":"llama"}');
    const writer = await createShardedWriter(folder, specs, maxShardBytes === undefined ? {} : { maxShardBytes });
    for (const [i, { name, dtype, shape }] of specs.entries()) await writer.write(name, filled(dtype, shape, i));
    await writer.finish();
    return path;
  }

  it('writes one file without an index when everything fits', async () => {
    expect((await readdir(await written())).sort()).toEqual(['config.json', 'model.safetensors']);
  });

  it('splits by size in order, and the folder reads back equal', async () => {
    const path = await written(96);
    const files = (await readdir(path)).filter((file) => file.endsWith('.safetensors')).sort();
    expect(files).toEqual(['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']);
    for (const file of files) expect(parseSafetensorsShardFilename(file)).toMatchObject({ total: '00002' });
    expect(JSON.parse(await readFile(join(path, 'model.safetensors.index.json'), 'utf8'))).toEqual({
      metadata: { total_size: 160 },
      weight_map: { 'layer.0': files[0], 'layer.1': files[0], 'layer.2': files[1], 'layer.3': files[1] },
    });
    const model = await openModelFolder(path);
    for (const [i, { name, dtype, shape }] of specs.entries()) expect(await model.read(name)).toEqual(filled(dtype, shape, i));
    await model.close();
  });
});
