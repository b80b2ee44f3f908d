import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { openModelFolder } from '@calibrant/checkpoint';
import { type Backend, type Checkpoint, toF32 } from '@calibrant/core';
import { compare, cutWindows, perplexity } from '@calibrant/eval';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { openTokenizer, openTransformer } from '@calibrant/transformer';
import { describe, expect, it } from '@jest/globals';

/** The negative log likelihoods of a window's tokens but the first, from logits, in f64 and by the definition. */
function plain(logits: Float32Array, ids: Int32Array, vocabulary: number): number[] {
  return Array.from(ids.subarray(1), (next, t) => {
    const row = logits.subarray(t * vocabulary, (t + 1) * vocabulary);
    return Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0)) - row[next];
  });
}

async function withModel<Result>(
  threads: number,
  body: (context: {
    backend: Backend;
    checkpoint: Checkpoint;
    model: ReturnType<typeof openTransformer>;
    ids: ArrayLike<number>;
  }) => Promise<Result>,
): Promise<Result> {
  const backend = createCpuBackend({ threads });
  const checkpoint = await openModelFolder(modelFolder);
  const model = openTransformer(checkpoint, backend);
  try {
    const tokenizer = await openTokenizer(checkpoint);
    const ids = tokenizer.encode((await readFile(evaluationTextPath, 'utf8')).slice(0, 6000));
    return await body({ backend, checkpoint, model, ids });
  } finally {
    await model.release();
    await checkpoint.close();
    await backend.close();
  }
}

describe('on the embedded model', () => {
  it('perplexity is what its logits give by the definition, and the same on any number of threads', async () => {
    const measured = [];
    for (const threads of [1, 2])
      measured.push(
        await withModel(threads, async ({ backend, model, ids }) => {
          const windows = cutWindows(ids, { maxWindows: 3 });
          const result = await perplexity({ backend, model, windows });
          if (threads === 1) {
            const { vocabSize } = model.description;
            const losses: number[] = [];
            for (const window of windows.windows) losses.push(...plain(toF32(await model.logits(window)), window, vocabSize));
            const mean = losses.reduce((a, b) => a + b) / losses.length;
            expect(result.scoredTokens).toBe(3 * 511);
            expect(Math.abs(result.meanNll - mean)).toBeLessThan(1e-5);
            // A model that has learnt English: far from the 4096 of a uniform guess.
            expect(result.perplexity).toBeGreaterThan(5);
            expect(result.perplexity).toBeLessThan(150);
          }
          return result;
        }),
      );
    expect(measured[1]).toEqual(measured[0]);
  });

  it('perplexity equals that of transformers on the same ids', async () => {
    const reference = JSON.parse(await readFile(join(modelFolder, 'reference.json'), 'utf8'));
    const prompts: { input_ids: number[]; nll_per_position: number[] }[] = reference.prompts;
    await withModel(2, async ({ backend, model }) => {
      for (const { input_ids, nll_per_position } of prompts) {
        const { meanNll } = await perplexity({ backend, model, windows: cutWindows(input_ids) });
        const expected = nll_per_position.reduce((a, b) => a + b) / nll_per_position.length;
        expect(Math.abs(meanNll / expected - 1)).toBeLessThan(1e-5);
      }
    });
  });

  it('a model does not diverge from itself, and diverges from one whose last block is missing', async () => {
    await withModel(2, async ({ backend, checkpoint, model, ids }) => {
      const windows = cutWindows(ids, { maxWindows: 2 });
      const same = await compare({ backend, base: model, quantized: model, windows });
      expect(same).toMatchObject({ meanKl: 0, maxKl: 0, sameTop: 1 });
      expect(same.base).toEqual(same.quantized);
      const layers = Number(checkpoint.config.num_hidden_layers) - 1;
      const shorter = openTransformer({ ...checkpoint, config: { ...checkpoint.config, num_hidden_layers: layers } }, backend);
      const result = await compare({ backend, base: model, quantized: shorter, windows });
      await shorter.release();
      expect(result.meanKl).toBeGreaterThan(0.5);
      expect(result.sameTop).toBeLessThan(0.7);
      expect(result.quantized.perplexity).toBeGreaterThan(2 * result.base.perplexity);
    });
  });
});
