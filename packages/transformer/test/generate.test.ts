import { createCpuBackend } from '@calibrant/backend-cpu';
import { createReferenceBackend, createRng } from '@calibrant/core';
import { generate, openTransformer } from '@calibrant/transformer';
import { describe, expect, it } from '@jest/globals';
import { drawToken, mostLikely } from '../src/generation/sample-token.js';
import { BACKENDS } from './backends.js';
import { expectCachedAsWhole } from './cached-as-whole.js';
import { argmax, row } from './compare.js';
import { goldenModel } from './golden-model.js';
import { variantModel } from './variant-model.js';

describe.each(BACKENDS)('cached decoding on the $backend backend', ({ create }) => {
  it.each(['llama', 'mistral-sliding', 'qwen3', 'smollm3'])(
    'of %s gives the logits of the forward pass over the whole sequence within 1e-5 of the largest',
    (name) => expectCachedAsWhole(create(), goldenModel(name).checkpoint, 70),
  );
});

describe('cached decoding', () => {
  it.each([
    'qwen2',
    'granite',
    'mixtral',
    'qwen2-moe',
    'qwen3-moe',
    'gemma',
    'gemma2',
    'gemma3',
    'phi',
    'phi3',
    'gpt2',
    'gpt-neox',
    'stablelm',
    'olmo2',
    'cohere',
    'falcon',
    'bloom',
    'opt',
  ])('of %s gives the logits of the forward pass over the whole sequence within 1e-5 of the largest', async (name) => {
    await expectCachedAsWhole(createReferenceBackend(), goldenModel(name).checkpoint, 24);
  });

  it.each(['bloom', 'qwen2-moe'])('of %s does so for longer sequences on the CPU backend', async (name) => {
    await expectCachedAsWhole(createCpuBackend({ threads: 2 }), goldenModel(name).checkpoint, 70);
  });

  it('of Falcon with ALiBi does so', async () => {
    const changes = { new_decoder_architecture: false, multi_query: false, alibi: true };
    await expectCachedAsWhole(createReferenceBackend(), variantModel('falcon', changes).checkpoint, 24);
  });
});

describe('generate', () => {
  const open = () => openTransformer(goldenModel('llama').checkpoint, createReferenceBackend());
  const prompts = [Int32Array.of(1), Int32Array.of(1, 20, 30), Int32Array.of(7, 9)];

  it('continues greedily with the most likely token of the forward pass, for prompts of different lengths', async () => {
    const model = open();
    const sequences = await generate(model, { prompts, length: 8 });
    for (const [i, ids] of sequences.entries()) {
      expect(ids.length).toBe(8);
      expect([...ids.subarray(0, prompts[i].length)]).toEqual([...prompts[i]]);
      const logits = await model.logits(ids);
      for (let t = prompts[i].length; t < 8; t++) expect(ids[t]).toBe(argmax(row(logits, t - 1)));
    }
  });

  it('is repeatable by seed, differs between seeds, and does not depend on what else is generated', async () => {
    const sample = (seed: number, count = 3) =>
      generate(open(), { prompts: prompts.slice(0, count), length: 12, temperature: 1, topK: 50, seed });
    const first = await sample(3);
    expect(await sample(3)).toEqual(first);
    expect((await sample(3, 1))[0]).toEqual(first[0]);
    expect(await sample(4)).not.toEqual(first);
    expect(new Set(first.map(String)).size).toBe(3);
  });

  it('writes the same text whatever the number of lanes', async () => {
    const text = async (threads: number) => {
      const backend = createCpuBackend({ threads });
      const model = openTransformer(goldenModel('llama').checkpoint, backend);
      const many = Array.from({ length: 70 }, (_, i) => Int32Array.of(i));
      const sequences = await generate(model, { prompts: many, length: 10, temperature: 1, seed: 1 });
      await backend.close();
      return sequences;
    };
    const alone = await text(1);
    expect(alone.length).toBe(70);
    expect(await text(3)).toEqual(alone);
  });

  it('ends a sequence after a stop token and frees everything', async () => {
    const model = open();
    const [whole] = await generate(model, { prompts: prompts.slice(0, 1), length: 10 });
    const stop = whole[4];
    const sequences = await generate(model, { prompts, length: 10, stopTokens: [stop] });
    expect([...sequences[0]]).toEqual([...whole.subarray(0, whole.indexOf(stop, 1) + 1)]);
    await model.release();
    expect(model.backend.allocatedBytes()).toBe(0);
  });

  it('gives each sequence at most maxNewTokens, the same ones as without', async () => {
    const model = open();
    const whole = await generate(model, { prompts, length: 10 });
    const short = await generate(model, { prompts, length: 10, maxNewTokens: 2 });
    for (const [i, ids] of short.entries()) expect([...ids]).toEqual([...whole[i].subarray(0, Math.min(10, prompts[i].length + 2))]);
    await expect(generate(model, { prompts, length: 10, maxNewTokens: 0 })).rejects.toThrow(/maxNewTokens must be a whole number/);
    await model.release();
  });

  it('reports progress and stops when it is cancelled', async () => {
    const model = open();
    const seen: number[] = [];
    const controller = new AbortController();
    const onEvent = (event: object) => {
      if ('done' in event) seen.push(event.done as number);
      if (seen.length === 4) controller.abort();
    };
    await expect(generate(model, { prompts, length: 20, onEvent, signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(seen).toEqual([1, 3, 6, 9]);
    await model.release();
    expect(model.backend.allocatedBytes()).toBe(0);
  });

  it('passes on the first error of any batch and frees everything', async () => {
    const { checkpoint } = goldenModel('llama');
    const broken = {
      ...checkpoint,
      read: async (name: string) => (/layers\.1\.mlp\.down/.test(name) ? Promise.reject(new Error('disk')) : checkpoint.read(name)),
    };
    const unreadable = openTransformer(broken, createReferenceBackend());
    await expect(generate(unreadable, { prompts, length: 4 })).rejects.toThrow('disk');
    expect(unreadable.backend.allocatedBytes()).toBe(0);

    const model = open();
    const outside = Array.from({ length: 70 }, (_, i) => Int32Array.of(i === 40 ? 9999 : i));
    await expect(generate(model, { prompts: outside, length: 6 })).rejects.toThrow(/Token 8 of the sequence is 9999/);
    await model.release();
    expect(model.backend.allocatedBytes()).toBe(0);
  });

  it('refuses empty and too long prompts, bad sampling options and models that do not fit', async () => {
    const model = open();
    const refuse = (options: object, code: string, message: RegExp) =>
      expect(generate(model, { prompts, length: 8, ...options })).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    await refuse({ prompts: [new Int32Array(0)] }, 'INVALID_ARGUMENT', /Prompt 0 has 0 tokens/);
    await refuse({ length: 2 }, 'INVALID_ARGUMENT', /Prompt 1 has 3 tokens/);
    await refuse({ temperature: 0.001 }, 'INVALID_ARGUMENT', /temperature must be 0/);
    await refuse({ temperature: -1 }, 'INVALID_ARGUMENT', /temperature/);
    await refuse({ topK: 0 }, 'INVALID_ARGUMENT', /topK/);
    await refuse({ maxWeightBytes: 1000 }, 'OUT_OF_MEMORY', /text file or folder/);
  });
});

describe('drawing a token', () => {
  const weights = [0.1, 0.3, 0.05, 0.3, 0.25];
  const probabilities = Float32Array.from(weights);

  it('is the first of the most likely tokens when greedy', () => {
    expect(mostLikely(probabilities)).toBe(1);
  });

  it('comes as often as its probability says', () => {
    const random = createRng(9);
    const counts = new Float64Array(5);
    const draws = 40000;
    for (let i = 0; i < draws; i++) counts[drawToken(probabilities, undefined, random)]++;
    // Four standard deviations of a frequency are below 0.01 for 40000 draws.
    for (let i = 0; i < 5; i++) expect(Math.abs(counts[i] / draws - weights[i])).toBeLessThan(0.01);
  });

  it('comes from the k most likely alone, the lower id of equals', () => {
    const random = createRng(2);
    const drawn = (topK: number) => [...new Set(Array.from({ length: 200 }, () => drawToken(probabilities, topK, random)))].sort();
    expect(drawn(3)).toEqual([1, 3, 4]);
    expect(drawn(1)).toEqual([1]);
    expect(drawn(9)).toEqual([0, 1, 2, 3, 4]);
  });

  it('follows the softmax of the logits over the temperature', async () => {
    const backend = createCpuBackend({ threads: 2 });
    const model = openTransformer(goldenModel('llama').checkpoint, backend);
    const start = Int32Array.of(1);
    const logits = row(await model.logits(start), 0);
    const largest = Math.max(...logits);
    const expected = Float64Array.from(logits, (value) => Math.exp((value - largest) / 2));
    const sum = expected.reduce((a, b) => a + b);
    const count = 4000;
    const counts = new Float64Array(logits.length);
    for (const ids of await generate(model, { prompts: Array(count).fill(start), length: 2, temperature: 2, seed: 4 })) counts[ids[1]]++;
    await backend.close();
    for (const [id, weight] of expected.entries()) {
      const p = weight / sum;
      expect(Math.abs(counts[id] / count - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / count) + 1e-3);
    }
  });
});
