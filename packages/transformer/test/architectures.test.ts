import { type Backend, createReferenceBackend, createRng, toF32 } from '@calibrant/core';
import { inputsOf, openTransformer, type Step, storedParts, weightsOf } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BACKENDS } from './backends.js';
import { argmax, maxDifference, row } from './compare.js';
import { goldenModel } from './golden-model.js';
import { plainForward } from './plain/plain-forward.js';
import { describeConfig } from './variant-model.js';

const MODELS = [
  { name: 'llama', tolerance: 1e-3 },
  { name: 'llama3-rope', tolerance: 1e-3 },
  { name: 'llama-bias-tied', tolerance: 2e-2 },
  { name: 'mistral-sliding', tolerance: 1e-3 },
  { name: 'qwen2', tolerance: 1e-3 },
  { name: 'qwen3', tolerance: 1e-3 },
  { name: 'smollm3', tolerance: 1e-3 },
  { name: 'granite', tolerance: 1e-3 },
  { name: 'mixtral', tolerance: 1e-3 },
  { name: 'qwen2-moe', tolerance: 1e-3 },
  { name: 'qwen3-moe', tolerance: 1e-3 },
  { name: 'gemma', tolerance: 2e-2 },
  { name: 'gemma2', tolerance: 2e-2 },
  { name: 'gemma3', tolerance: 2e-2 },
  { name: 'phi', tolerance: 1e-3 },
  { name: 'phi3', tolerance: 1e-3 },
  { name: 'gpt2', tolerance: 2e-2 },
  { name: 'gpt-neox', tolerance: 1e-3 },
  { name: 'gpt-neox-serial', tolerance: 1e-3 },
  { name: 'stablelm', tolerance: 1e-3 },
  { name: 'olmo2', tolerance: 1e-3 },
  { name: 'cohere', tolerance: 2e-2 },
  { name: 'falcon', tolerance: 2e-2 },
  { name: 'bloom', tolerance: 2e-2 },
  { name: 'opt', tolerance: 2e-2 },
];

describe.each(BACKENDS)('the golden models on the $backend backend', ({ create }) => {
  let backend: Backend;
  beforeAll(() => {
    backend = create();
  });
  afterAll(() => backend.close());

  it.each(MODELS)('$name gives the logits, most likely tokens and hidden states of transformers', async ({ name, tolerance }) => {
    const { checkpoint, reference } = goldenModel(name);
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
    expect(last).toBe(model.blockCount);
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
  });
});

describe.each(MODELS)('the description of $name', ({ name }) => {
  const { embedding, blocks, head } = describeConfig(goldenModel(name).checkpoint.config);
  const lists = [embedding.steps ?? [], ...blocks, head.steps];
  const flat = (steps: readonly Step[], start: string): { reads: string[]; writes: string }[] => [
    { reads: [], writes: start },
    ...steps.flatMap((step) => [
      ...(step.op === 'mixture' ? step.experts.flatMap((expert) => flat(expert.steps, expert.input)) : []),
      { reads: inputsOf(step), writes: step.output },
    ]),
  ];

  it('writes each value once and reads what was written before', () => {
    for (const steps of lists) {
      const written = new Set<string>();
      for (const { reads, writes } of flat(steps, 'hidden')) {
        for (const read of reads) expect(written).toContain(read);
        expect(written).not.toContain(writes);
        written.add(writes);
      }
    }
  });

  it('asks for every tensor of the checkpoint', () => {
    const weights = [embedding.weight, ...lists.flatMap(weightsOf), head.weight, ...(head.bias ? [head.bias] : [])];
    const asked = new Set(weights.flatMap(storedParts).map((part) => part.name));
    expect([...goldenModel(name).weights.keys()].filter((key) => !asked.has(key))).toEqual([]);
  });
});

describe.each(MODELS)('$name with other weights', ({ name, tolerance }) => {
  it('agrees with a plain second implementation in f64', async () => {
    const { checkpoint, weights } = goldenModel(name, 77);
    const random = createRng(77);
    const ids = Int32Array.from({ length: 24 }, () => random.integer(320));
    const logits = await openTransformer(checkpoint, createReferenceBackend()).logits(ids);
    const expected = plainForward(checkpoint.config, weights, ids);
    for (const [t, values] of expected.entries()) expect(maxDifference(row(logits, t), values)).toBeLessThan(tolerance / 4);
  });
});
