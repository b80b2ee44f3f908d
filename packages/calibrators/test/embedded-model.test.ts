import { createCpuBackend } from '@calibrant/backend-cpu';
import { calibrationSet } from '@calibrant/calibrators';
import { openModelFolder } from '@calibrant/checkpoint';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { openTokenizer, openTransformer, textGenerator } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

describe('calibration sets for the embedded model', () => {
  const backend = createCpuBackend({ threads: 2 });
  let checkpoint: Awaited<ReturnType<typeof openModelFolder>>;
  beforeAll(async () => {
    checkpoint = await openModelFolder(modelFolder);
  });
  afterAll(async () => {
    await checkpoint.close();
    await backend.close();
  });

  it('of a text file hold the tokens of that text', async () => {
    const tokenizer = await openTokenizer(checkpoint);
    const set = await calibrationSet({ source: 'file', path: evaluationTextPath, samples: 8, length: 64, seed: 1 }, { tokenizer });
    expect(set.sequences.map(({ length }) => length)).toEqual(Array(8).fill(64));
    expect(set.available).toBeGreaterThan(7000);
    expect(set.warnings).toEqual([expect.stringMatching(/on 8 sequences \(512 tokens\)/)]);
  });

  it('of its own text are repeatable, different from each other, and read as language', async () => {
    const model = openTransformer(checkpoint, backend);
    const options = { source: 'self' as const, samples: 8, length: 48, seed: 1 };
    const set = await calibrationSet(options, { generator: textGenerator(model) });
    expect(set.tokens).toBe(8 * 48);
    expect(new Set(set.sequences.map(String)).size).toBe(8);
    const tokenizer = await openTokenizer(checkpoint);
    const words = set.sequences.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: true })).join(' ');
    expect(words).toMatch(/ the | of | and | is /);
    expect((await calibrationSet(options, { generator: textGenerator(model) })).sequences).toEqual(set.sequences);
    await model.release();
    await backend.sync();
    expect(backend.allocatedBytes()).toBe(0);
  });
});
