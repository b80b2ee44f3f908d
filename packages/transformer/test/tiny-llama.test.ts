import path from 'node:path';
import { type Backend, rows, type Tensor, toF32 } from '@calibrant/core';
import { modelFolder } from '@calibrant/tiny-llama';
import { openTransformer, type Transformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BACKENDS } from './backends.js';
import { argmax, maxDifference, row } from './compare.js';
import { openFolder, readSafetensors } from './safetensors-checkpoint.js';

const reference = readSafetensors(path.join(modelFolder, 'reference.safetensors'));
const inputIds = reference.get('input_ids')!;
const prompt = (index: number) => Int32Array.from(row(inputIds, index));
const expectedLogits = (index: number): Tensor => {
  const all = reference.get('logits')!;
  const [, tokens, vocab] = all.shape;
  return { dtype: 'f32', shape: [tokens, vocab], data: rows(all, index, index + 1).data };
};

describe.each(BACKENDS)('the embedded model on the $backend backend', ({ create }) => {
  let backend: Backend;
  let model: Transformer;
  beforeAll(() => {
    backend = create();
    model = openTransformer(openFolder(modelFolder), backend);
  });
  afterAll(() => backend.close());

  it('gives the logits of transformers within 2e-3, with the same most likely token at every position', async () => {
    for (const index of [0, 1]) {
      const logits = await model.logits(prompt(index));
      const expected = expectedLogits(index);
      expect(logits.shape).toEqual(expected.shape);
      expect(maxDifference(toF32(logits), toF32(expected))).toBeLessThan(2e-3);
      for (let t = 0; t < 32; t++) expect(argmax(row(logits, t))).toBe(argmax(row(expected, t)));
    }
  });

  it('gives the hidden states of transformers after the embedding, every block and the final norm', async () => {
    const difference = async (handle: Parameters<Backend['download']>[0], name: string) =>
      maxDifference(toF32(await backend.download(handle)), toF32(reference.get(name)!));
    let hidden = await model.embed(prompt(0), { lane: 0 });
    expect(await difference(hidden, 'hidden_states.0')).toBe(0);
    for (let index = 0; index < 4; index++) {
      const block = model.block(index);
      const weights = await block.load();
      const next = await block.forward(hidden, weights);
      backend.free(hidden);
      block.release(weights);
      hidden = next;
      expect(await difference(hidden, `hidden_states.${index + 1}`)).toBeLessThan(1e-3);
    }
    const normed = await model.finalNorm(hidden);
    expect(await difference(normed, 'final_norm')).toBeLessThan(1e-3);
    backend.free(hidden, normed);
  });

  it('frees every buffer', async () => {
    await model.logits(prompt(0));
    await model.release();
    await backend.sync();
    expect(backend.allocatedBytes()).toBe(0);
  });
});
