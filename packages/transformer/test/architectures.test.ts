import { createReferenceBackend, toF32 } from '@calibrant/core';
import { openTransformer } from '@calibrant/transformer';
import { describe, expect, it } from '@jest/globals';
import { argmax, maxDifference, row } from './compare.js';
import { goldenModel } from './golden-model.js';

const CASES = [
  { name: 'llama', tolerance: 1e-3 },
  { name: 'llama3-rope', tolerance: 1e-3 },
  { name: 'llama-bias-tied', tolerance: 2e-2 },
  { name: 'mistral-sliding', tolerance: 1e-3 },
  { name: 'qwen2', tolerance: 1e-3 },
  { name: 'qwen3', tolerance: 1e-3 },
  { name: 'smollm3', tolerance: 1e-3 },
];

describe.each(CASES)('the golden model $name', ({ name, tolerance }) => {
  it('gives the logits, most likely tokens and hidden states of transformers', async () => {
    const { checkpoint, reference } = goldenModel(name);
    const backend = createReferenceBackend();
    const model = openTransformer(checkpoint, backend);
    const ids = reference.get('input_ids')!.data as Int32Array;
    const logits = await model.logits(ids);
    const vocab = logits.shape[1];
    const values = toF32(logits);
    expect(maxDifference(values.subarray(0, 4 * vocab), toF32(reference.get('logits_first4')!))).toBeLessThan(tolerance);
    expect(maxDifference(values.subarray(-4 * vocab), toF32(reference.get('logits_last4')!))).toBeLessThan(tolerance);
    const ofNext = Float32Array.from({ length: ids.length - 1 }, (_, t) => row(logits, t)[ids[t + 1]]);
    expect(maxDifference(ofNext, toF32(reference.get('logit_of_next')!))).toBeLessThan(tolerance);
    expect(Array.from(ids, (_, t) => argmax(row(logits, t)))).toEqual([...(reference.get('argmax')!.data as Int32Array)]);

    const last = [...reference.keys()].filter((key) => /^hidden_\d+_last$/.test(key)).length - 1;
    let hidden = await model.embed(ids);
    for (let index = 0; index <= last; index++) {
      const seen = index === last ? await model.finalNorm(hidden) : hidden;
      const expected = toF32(reference.get(`hidden_${index}_last`)!);
      expect(maxDifference(row(await backend.download(seen), -1), expected)).toBeLessThan(tolerance);
      if (index === last) break;
      const block = model.block(index);
      const weights = await block.load();
      const next = await block.forward(hidden, weights);
      backend.free(hidden);
      block.release(weights);
      hidden = next;
    }
    await backend.close();
  });
});
