import { createCpuBackend } from '@calibrant/backend-cpu';
import { type Backend, type ByteSink, type ByteSource, createReferenceBackend, createRng } from '@calibrant/core';
import { cutWindows, evaluateText, openBaseLogits, type TokenWindows, writeBaseLogits } from '@calibrant/eval';
import { describe, expect, it } from '@jest/globals';
import { tableModel } from './table-model.js';

const VOCABULARY = 101;
function table(seed: number, spread: number, around?: number[][]): number[][] {
  const random = createRng(seed);
  return Array.from({ length: VOCABULARY }, (_, i) =>
    Array.from({ length: VOCABULARY }, (_, j) => (around?.[i][j] ?? 0) + spread * random.normal()),
  );
}
const base = table(1, 4);
const quantized = table(2, 0.05, base);
const rng = createRng(3);
const ids = Array.from({ length: 300 }, () => rng.integer(VOCABULARY));
const windows = cutWindows(ids, { protocol: 'strided-64-40' });

/** A file in memory. */
function memoryFile(): {
  bytes(): Uint8Array;
  create(size: number): Promise<ByteSink>;
  source(change?: (bytes: Uint8Array) => Uint8Array): ByteSource;
} {
  let content = new Uint8Array(0);
  return {
    bytes: () => content,
    async create(size) {
      content = new Uint8Array(size);
      return { name: 'memory', write: async (offset, part) => content.set(part, offset), close: async () => {} };
    },
    source(change = (bytes) => bytes) {
      const bytes = change(content.slice());
      const read = async (offset: number, length: number) => bytes.slice(offset, offset + length);
      return { name: 'base.logits', size: bytes.length, read, close: async () => {} };
    },
  };
}

async function saved(backend: Backend) {
  const file = memoryFile();
  const save = await writeBaseLogits({
    backend,
    windows,
    vocabSize: VOCABULARY,
    base: { name: 'full', sha256: 'abc' },
    create: file.create,
  });
  const direct = await evaluateText({ backend, model: tableModel(backend, quantized), base: tableModel(backend, base), windows, save });
  return { file, direct };
}

describe('base logits', () => {
  it.each([
    ['the reference', () => createReferenceBackend()],
    ['WebAssembly', () => createCpuBackend({ threads: 2 })],
  ])("stand in for the base with its own scores exactly and divergences within the codes' rounding, by %s", async (_, create) => {
    const backend = await create();
    const { file, direct } = await saved(backend);
    const stored = await openBaseLogits({ backend, source: file.source(), windows });
    const again = await evaluateText({ backend, model: tableModel(backend, quantized), base: stored, windows });
    expect(again.base).toEqual(direct.base);
    expect(again.perplexity).toEqual(direct.perplexity);
    const [a, b] = [again.divergence!, direct.divergence!];
    for (const key of ['sameTop', 'lnPerplexityRatio', 'perplexityDifference', 'probabilityChange', 'lnPerplexityCorrelation'] as const)
      expect(a[key]).toEqual(b[key]);
    // Half a step is at most 32 / 65535 / 2 nats; its effect on a divergence of 1e-3 is far smaller, for errors cancel over the vocabulary.
    expect(b.meanKl).toBeGreaterThan(1e-4);
    expect(Math.abs(a.meanKl / b.meanKl - 1)).toBeLessThan(1e-3);
    expect(Math.abs(a.maxKl / b.maxKl - 1)).toBeLessThan(0.02);
    expect(Math.abs(a.topOverlap.value - b.topOverlap.value)).toBeLessThan(0.002);
    // 2 bytes per entry, and little else.
    const entries = direct.perplexity.scoredTokens * VOCABULARY;
    expect(file.bytes().length / entries).toBeLessThan(2.3);
    expect(backend.allocatedBytes()).toBe(0);
    await backend.close();
  });

  it('a model hardly diverges from its own stored logits', async () => {
    const backend = createReferenceBackend();
    const { file } = await saved(backend);
    const stored = await openBaseLogits({ backend, source: file.source(), windows });
    const { divergence } = await evaluateText({ backend, model: tableModel(backend, base), base: stored, windows });
    expect(divergence!.meanKl).toBeLessThan(1e-8);
    expect(divergence!.sameTop).toBe(1);
  });

  it('saves a model that is measured alone', async () => {
    const backend = createReferenceBackend();
    const { file } = await saved(backend);
    const alone = memoryFile();
    const save = await writeBaseLogits({
      backend,
      windows,
      vocabSize: VOCABULARY,
      base: { name: 'full', sha256: 'abc' },
      create: alone.create,
    });
    await evaluateText({ backend, model: tableModel(backend, base), windows, save });
    expect(alone.bytes()).toEqual(file.bytes());
  });

  it('refuses other texts, tokenizers, protocols, models and vocabularies', async () => {
    const backend = createReferenceBackend();
    const { file } = await saved(backend);
    const open = (others: TokenWindows, expected?: string) =>
      openBaseLogits({ backend, source: file.source(), windows: others, ...(expected ? { base: { name: 'b', sha256: expected } } : {}) });
    await expect(open(cutWindows(ids, { length: 64 }))).rejects.toThrow(/by the protocol strided-64-40, not windowed-64/);
    await expect(open(cutWindows(ids.slice(0, 200), { protocol: 'strided-64-40' }))).rejects.toThrow(/windows of its text/);
    const other = ids.map((id, i) => (i === 7 ? (id + 1) % VOCABULARY : id));
    await expect(open(cutWindows(other, { protocol: 'strided-64-40' }))).rejects.toThrow(/other tokens: the text or the tokenizer/);
    await expect(open(windows, 'def')).rejects.toThrow(/logits of full, whose files differ from those of b/);
    await open(windows, 'abc');
    const smaller = tableModel(
      backend,
      base.map((row) => row.slice(1)),
    );
    const stored = await open(windows);
    await expect(
      evaluateText({
        backend,
        model: smaller,
        base: stored,
        windows: { ...windows, windows: windows.windows.map((w) => w.map((x) => Math.min(x, 99))) },
      }),
    ).rejects.toThrow(/one has 101 and the other 100 tokens/);
  });

  it('finds damage: wrong magic, cut files, flipped bits', async () => {
    const backend = createReferenceBackend();
    const { file } = await saved(backend);
    const open = (change: (bytes: Uint8Array) => Uint8Array) => openBaseLogits({ backend, source: file.source(change), windows });
    await expect(open((bytes) => bytes.subarray(0, 5))).rejects.toThrow(/it has 5 bytes/);
    await expect(open((bytes) => bytes.fill(0, 0, 4))).rejects.toThrow(/does not begin with CALBASE1/);
    await expect(open((bytes) => bytes.subarray(0, bytes.length - 4))).rejects.toThrow(/should have \d+ bytes/);
    await expect(open((bytes) => bytes.fill(255, 8, 12))).rejects.toThrow(/its header has 4294967295 bytes/);
    await expect(open((bytes) => bytes.fill(0x7d, 12, 14))).rejects.toThrow(/header is not JSON/);
    const damaged = await open((bytes) => {
      bytes[bytes.length - 1000] ^= 4;
      return bytes;
    });
    await expect(evaluateText({ backend, model: tableModel(backend, quantized), base: damaged, windows })).rejects.toMatchObject({
      code: 'CORRUPT_FILE',
    });
    expect(backend.allocatedBytes()).toBe(0);
  });
});
