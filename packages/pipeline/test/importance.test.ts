import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { fileSource } from '@calibrant/checkpoint';
import {
  type Backend,
  CalibrantError,
  createReferenceBackend,
  type ImportanceMatrix,
  type RecipeInput,
  type RunEvent,
} from '@calibrant/core';
import { ggufFormat, readGguf } from '@calibrant/gguf-format';
import { describeImportanceMatrix, evaluateModel, makeImportanceMatrix, openModel, quantizeModel } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { openTokenizer, openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratchFolder, testRegistry } from './fixture.js';

const registry = testRegistry();
const files = ggufFormat().importance!;
const TEXT = { source: 'file', path: evaluationTextPath, samples: 12, length: 128, seed: 3 } as const;
let backend: Backend;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  backend = await createCpuBackend({ threads: 2 });
  scratch = await scratchFolder();
});
afterAll(async () => {
  await backend.close();
  await scratch.clean();
});

const read = async (name: string): Promise<ImportanceMatrix> => {
  const source = await fileSource(scratch.path(name));
  try {
    return await files.read(source);
  } finally {
    await source.close();
  }
};
const make = (out: string, more: Partial<Parameters<typeof makeImportanceMatrix>[0]> = {}) =>
  makeImportanceMatrix({ model: modelFolder, calibration: TEXT, out: scratch.path(out), registry, backend, ...more });
const quantize = (recipe: RecipeInput, out: string, more: Partial<Parameters<typeof quantizeModel>[0]> = {}) =>
  quantizeModel({ model: modelFolder, recipe: { format: 'gguf', ...recipe }, out: scratch.path(out), registry, backend, ...more });
async function failure(promise: Promise<unknown>): Promise<CalibrantError> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  if (!CalibrantError.isInstance(error)) throw new Error(`expected a CalibrantError, got ${error}`);
  return error;
}

/** Data of all tensors of a GGUF file, by name. */
async function tensorBytes(file: string): Promise<Map<string, { type: number; bytes: Uint8Array }>> {
  const source = await fileSource(file);
  const header = await readGguf(source);
  const found = new Map<string, { type: number; bytes: Uint8Array }>();
  for (const { name, offset, bytes, type } of header.tensors.values())
    found.set(name, { type: type.id, bytes: await source.read(offset, bytes) });
  await source.close();
  return found;
}

describe('an importance matrix of the embedded model', () => {
  it('is what a plain f64 sum over the observed inputs gives', async () => {
    await make('plain.gguf', { calibration: { ...TEXT, samples: 2, length: 24 } });
    const matrix = await read('plain.gguf');
    const checkpoint = await openModel(modelFolder, { registry, backend });
    const model = openTransformer(checkpoint, createReferenceBackend());
    const ids = (await openTokenizer(checkpoint)).encode(await readFile(evaluationTextPath, 'utf8'));
    const { cutWindows } = await import('@calibrant/calibrators');
    const sequences = cutWindows(ids, { ...TEXT, samples: 2, length: 24 }, 'text');
    const expected = new Map<string, Float64Array>();
    const waiting: Promise<void>[] = [];
    for (const sequence of sequences)
      for (const hidden of await model.run([sequence], {
        observe(block, point, handle) {
          const add = async () => {
            const { data, shape } = await model.backend.download(handle);
            const sums = expected.get(`${block} ${point}`) ?? new Float64Array(shape[1]);
            for (let i = 0; i < data.length; i++) sums[i % shape[1]] += Number(data[i]) ** 2;
            expected.set(`${block} ${point}`, sums);
          };
          waiting.push(add());
        },
      }))
        model.backend.free(hidden);
    await Promise.all(waiting);
    expect(matrix.entries.size).toBe(model.linears().length);
    for (const { name, block, input } of model.linears()) {
      const stem = { q: 'attn_q', k: 'attn_k', v: 'attn_v', o: 'attn_output', gate: 'ffn_gate', up: 'ffn_up', down: 'ffn_down' }[
        /\.(\w+)_proj/.exec(name)![1]
      ];
      const { sums, counts } = matrix.entries.get(`blk.${block}.${stem}.weight`)!;
      expect([...counts]).toEqual([48]);
      const wanted = expected.get(`${block} ${input}`)!;
      expect(sums).toHaveLength(wanted.length);
      // Activations of the two backends differ by f32 rounding.
      sums.forEach((sum, i) => {
        expect(Math.abs(sum - wanted[i])).toBeLessThan(1e-3 * wanted[i] + 1e-6);
      });
    }
    await model.release();
    await checkpoint.close();
  }, 60_000);

  it('is the same file whatever the number of threads', async () => {
    const [one, three] = [await createCpuBackend({ threads: 1 }), await createCpuBackend({ threads: 3 })];
    try {
      await make('one.gguf', { backend: one });
      await make('three.gguf', { backend: three });
    } finally {
      await Promise.all([one.close(), three.close()]);
    }
    expect(Buffer.compare(await readFile(scratch.path('one.gguf')), await readFile(scratch.path('three.gguf')))).toBe(0);
  });

  it('is the sum of its parts when files are merged, without a model', async () => {
    await make('a.gguf', { calibration: { ...TEXT, samples: 4, seed: 1 } });
    await make('b.dat', { calibration: { ...TEXT, samples: 3, seed: 2 }, layout: 'dat' });
    const { chunks, datasets } = await makeImportanceMatrix({
      merge: [scratch.path('a.gguf'), scratch.path('b.dat')],
      out: scratch.path('ab.gguf'),
      registry,
      backend,
    });
    expect([chunks, datasets]).toEqual([7, [path.basename(evaluationTextPath)]]);
    const [a, b, ab] = [await read('a.gguf'), await read('b.dat'), await read('ab.gguf')];
    const name = 'blk.1.ffn_down.weight';
    ab.entries.get(name)!.sums.forEach((sum, i) => {
      expect(sum).toBe(Math.fround(a.entries.get(name)!.sums[i] + b.entries.get(name)!.sums[i]));
    });
  });

  it('is described without a model', async () => {
    const { weights, chunks } = await describeImportanceMatrix(scratch.path('a.gguf'), { registry });
    expect(chunks).toBe(4);
    const down = weights.find(({ name }) => name === 'blk.2.ffn_down.weight')!;
    expect(down.similarity).toBeGreaterThan(0);
    expect(down.normalizedEntropy).toBeLessThan(1);
    expect(weights.find(({ name }) => name === 'blk.0.ffn_down.weight')!.similarity).toBeUndefined();
  });

  it('does not replace a file, and leaves none behind on failure', async () => {
    expect((await failure(make('a.gguf'))).code).toBe('OUTPUT_EXISTS');
    expect((await failure(makeImportanceMatrix({ out: scratch.path('none.gguf'), registry, backend }))).message).toMatch(/--merge/);
    expect((await failure(make('x.gguf', { layout: 'csv' }))).message).toMatch(/gguf or dat/);
    expect((await readdir(scratch.path('.'))).filter((name) => /part|none|x\.gguf/.test(name))).toEqual([]);
  });
});

describe('quantizing with an importance matrix', () => {
  it.each(['Q4_K_M', 'Q4_0'])('%s diverges less from the original than without', async (scheme) => {
    await make('used.gguf', { force: true });
    const plain = await quantize({ scheme }, `plain-${scheme}`);
    const weighed = await quantize({ scheme, importance: { file: scratch.path('used.gguf') } }, `weighed-${scheme}`);
    expect(weighed.importance).toMatchObject({ file: 'used.gguf', chunks: 12, entries: 28 });
    const [before, after] = await Promise.all(
      [plain, weighed].map(({ files: [file] }) =>
        evaluateModel({ model: file, base: modelFolder, text: evaluationTextPath, maxWindows: 4, registry, backend }),
      ),
    );
    expect(after.comparison!.meanKl).toBeLessThan(0.97 * before.comparison!.meanKl);
  });

  it('gives the same bytes from a file and from the text that the file was made of, and says so in the metadata', async () => {
    const fromFile = await quantize({ scheme: 'Q4_K_M', importance: { file: scratch.path('used.gguf') } }, 'from-file');
    const fromText = await quantize({ scheme: 'Q4_K_M', importance: { calibration: TEXT } }, 'from-text');
    const [a, b] = [await tensorBytes(fromFile.files[0]), await tensorBytes(fromText.files[0])];
    for (const [name, { bytes }] of a) expect([name, Buffer.compare(bytes, b.get(name)!.bytes)]).toEqual([name, 0]);
    const source = await fileSource(fromFile.files[0]);
    const { metadata } = await readGguf(source);
    await source.close();
    expect(metadata.get('quantize.imatrix.file')?.value).toBe('used.gguf');
    expect(metadata.get('quantize.imatrix.dataset')?.value).toBe(path.basename(evaluationTextPath));
    expect(metadata.get('quantize.imatrix.entries_count')).toEqual({ type: 'u32', value: 28 });
    expect(metadata.get('quantize.imatrix.chunks_count')).toEqual({ type: 'u32', value: 12 });
  });

  it('warns of tensors that the matrix lacks, with their number', async () => {
    const { entries, ...rest } = await read('used.gguf');
    await save('partial.dat', { ...rest, entries: new Map([...entries].slice(0, 20)) });
    const events: RunEvent[] = [];
    await quantize({ scheme: 'Q4_0', importance: { file: scratch.path('partial.dat') } }, 'partial', {
      onEvent: (event) => events.push(event),
    });
    expect(events).toContainEqual({ warning: expect.stringMatching(/covers 20 of the 28.*blk\.\d/s), item: 'importance' });
  });

  it.each([
    ['of another size', (sums: Float64Array) => sums.subarray(0, 128), /128 values.*blk\.0\.attn_k\.weight.*256 input channels/s],
    [
      'that is not finite',
      (sums: Float64Array) => sums.map((sum, i) => (i === 7 ? Number.NaN : sum)),
      /blk\.0\.attn_k\.weight is NaN.*channel 7/s,
    ],
    ['that is negative', (sums: Float64Array) => sums.map((sum, i) => (i === 2 ? -1 : sum)), /blk\.0\.attn_k\.weight is -.*channel 2/s],
  ])('refuses an entry %s before any work', async (_, spoil, message) => {
    const { entries, ...rest } = await read('used.gguf');
    const name = 'blk.0.attn_k.weight';
    const { sums, counts } = entries.get(name)!;
    await save('bad.gguf', { ...rest, entries: new Map([...entries, [name, { sums: spoil(sums), counts }]]) });
    const error = await failure(quantize({ scheme: 'Q4_K_M', importance: { file: scratch.path('bad.gguf') } }, 'bad', { dryRun: true }));
    expect(error.message).toMatch(message);
  });

  it('rounds the weights of what never saw a token as if all channels mattered alike', async () => {
    const { entries, ...rest } = await read('used.gguf');
    const blank = (value: number) =>
      new Map([...entries].map(([name, { sums }]) => [name, { sums: sums.map(() => value), counts: Float64Array.of(value) }]));
    await save('unseen.gguf', { ...rest, entries: blank(0) });
    await save('ones.gguf', { ...rest, entries: blank(1) });
    const events: RunEvent[] = [];
    const onEvent = (event: RunEvent) => events.push(event);
    const [a, b] = await Promise.all(
      ['unseen', 'ones'].map(async (name) =>
        tensorBytes((await quantize({ scheme: 'Q4_K_M', importance: { file: scratch.path(`${name}.gguf`) } }, name, { onEvent })).files[0]),
      ),
    );
    // Of the file, too, and only of the one.
    expect(events.filter((event) => 'warning' in event)).toEqual([
      { warning: expect.stringMatching(/^28 of 28 experts and layers never saw a token/), item: 'importance' },
    ]);
    for (const [name, { bytes }] of a) expect([name, Buffer.compare(bytes, b.get(name)!.bytes)]).toEqual([name, 0]);
  });

  it('refuses matrices of other models, other files, and schemes that cannot use one', async () => {
    const { entries, ...rest } = await read('used.gguf');
    await save('other.gguf', { ...rest, entries: new Map([...entries].map(([name, entry]) => [`enc.${name}`, entry])) });
    const fail = (recipe: RecipeInput) => failure(quantize(recipe, 'bad', { dryRun: true }));
    const file = (name: string) => ({ importance: { file: scratch.path(name) } });
    expect((await fail({ scheme: 'Q4_0', ...file('other.gguf') })).message).toMatch(/covers none of the 29 tensors.*enc\.blk/s);
    expect((await fail({ scheme: 'Q4_0', ...file('nowhere.gguf') })).code).toBe('NOT_FOUND');
    await writeFile(scratch.path('text.dat'), 'this is no importance matrix at all');
    expect((await fail({ scheme: 'Q4_0', ...file('text.dat') })).message).toMatch(/text\.dat is no importance matrix.*byte 0/s);
    expect((await fail({ scheme: 'F16', ...file('used.gguf') })).message).toMatch(/F16 has none/);
    expect((await fail({ scheme: 'int4-g128-asym', format: 'compressed-tensors', ...file('used.gguf') })).message).toMatch(/--format gguf/);
  });

  async function save(name: string, matrix: ImportanceMatrix): Promise<void> {
    const parts: { offset: number; bytes: Uint8Array }[] = [];
    const sink = {
      name,
      write: async (offset: number, bytes: Uint8Array) => {
        parts.push({ offset, bytes: bytes.slice() });
      },
      close: async () => {},
    };
    await files.write(matrix, sink, name.endsWith('.dat') ? 'dat' : 'gguf');
    const whole = new Uint8Array(Math.max(...parts.map(({ offset, bytes }) => offset + bytes.length)));
    for (const { offset, bytes } of parts) whole.set(bytes, offset);
    await writeFile(scratch.path(name), whole);
  }
});
