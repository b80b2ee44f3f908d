import { type Tensor, tensor } from '@calibrant/core';
import { BLOCK_TYPES } from '@calibrant/gguf-format';
import { runWasm } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { libraryFolder, loadQuantizeChunk } from './ggml-library.js';
import { DISTRIBUTIONS, uniform } from './odd-rows.js';

const COLUMNS = 512;

const IMPORTANCES: Record<string, ((u: number, v: number) => number) | undefined> = {
  none: undefined,
  uniform: (u) => u,
  'mostly zero': (u, v) => (u < 0.7 ? 0 : v),
  'of all magnitudes': (u) => 10 ** (u * 30 - 15),
  zero: () => 0,
};

/** Where squares overflow, the codebook searches of ggml end the program; there the variants are compared with each other. */
const TOO_LARGE = ['huge', 'just below powers of two', 'near the largest float'];
const isCodebook = (name: string) => /^IQ[123]/.test(name);

const found = libraryFolder();
if ('reason' in found) console.warn(`left out: the comparison with ggml, because ${found.reason}.`);
const withGgml = 'folder' in found ? describe : describe.skip;

withGgml('beside ggml itself', () => {
  const quantizeChunk = loadQuantizeChunk('folder' in found ? found.folder : '');
  const names = Object.keys(BLOCK_TYPES).filter((name) => name !== 'F32') as (keyof typeof BLOCK_TYPES)[];

  const kinds = (name: keyof typeof BLOCK_TYPES) => Object.keys(IMPORTANCES).slice(BLOCK_TYPES[name].needsImportance ? 1 : 0);
  const cases = names.flatMap((name) => kinds(name).map((kind) => [name, kind] as const));

  it.each(cases)('%s has the same bytes for rows of any distribution with importance: %s', async (name, kind) => {
    const type = BLOCK_TYPES[name];
    const weigh = IMPORTANCES[kind];
    const distributions = Object.entries(DISTRIBUTIONS);
    const rows = distributions.length;
    const ggml = await quantizeChunk;
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const next = uniform(seed);
        const x = new Float32Array(rows * COLUMNS).map((_, i) => distributions[Math.floor(i / COLUMNS)][1](next(), next(), i));
        const weights = weigh ? new Float32Array(COLUMNS).map(() => weigh(next(), next())) : undefined;
        const inputs = {
          x: tensor('f32', [rows, COLUMNS], x),
          ...(weights ? { importance: tensor('f32', [COLUMNS], weights) } : {}),
        } as Record<'x' | 'importance', Tensor>;
        const fast = runWasm(type.encode, inputs, {}).blocks.data as Uint8Array;
        const plain = type.encode.reference(inputs, {}, { start: 0, end: rows }).blocks.data as Uint8Array;
        expect(Buffer.compare(fast, plain)).toBe(0);
        const rowBytes = fast.length / rows;
        for (const [row, [distribution]] of distributions.entries()) {
          if (isCodebook(name) && TOO_LARGE.includes(distribution)) continue;
          const expected = new Uint8Array(rowBytes);
          ggml(type.id, x.subarray(row * COLUMNS, (row + 1) * COLUMNS), expected, 0, 1, COLUMNS, weights ?? null);
          const ours = fast.subarray(row * rowBytes, (row + 1) * rowBytes);
          expect([distribution, Buffer.compare(ours, expected)]).toEqual([distribution, 0]);
        }
      }),
      { numRuns: isCodebook(name) ? 1 : 4 },
    );
  });
});
