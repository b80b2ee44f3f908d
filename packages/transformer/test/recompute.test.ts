import { add, type BufferHandle, createReferenceBackend, createRng, toF32 } from '@calibrant/core';
import { openTransformer } from '@calibrant/transformer';
import { describe, expect, it } from '@jest/globals';
import { maxDifference } from './compare.js';
import { variantModel } from './variant-model.js';

const random = createRng(6);
const ids = Int32Array.from({ length: 9 }, () => random.integer(320));

describe('recomputing a part of a block', () => {
  it.each([
    ['llama', ['attentionInput', 'mlpInput']],
    ['mixtral', ['attentionInput', 'mlpInput']],
    ['qwen2-moe', ['attentionInput', 'mlpInput']],
    ['opt', ['attentionInput', 'mlpInput']],
    ['phi', ['attentionInput']],
  ])('of %s gives all that the residual connection adds', async (name, points) => {
    const backend = createReferenceBackend();
    const model = openTransformer(variantModel(name, {}).checkpoint, backend);
    const block = model.block(0);
    const weights = await block.load();
    const hidden = await model.embed(ids);
    const expected = await backend.download(await block.forward(hidden, weights));
    let sum: BufferHandle = hidden;
    for (const point of points) {
      const value = await block.forwardTo(point, hidden, weights);
      const results = await block.recompute(point, value, weights);
      expect(results).toHaveLength(name === 'phi' ? 2 : 1);
      for (const result of results) sum = backend.run(add, { a: sum, b: result }, {}).y;
    }
    expect(maxDifference(toF32(await backend.download(sum)), toF32(expected))).toBeLessThan(1e-5);
  });

  it('uses the weights that it is given', async () => {
    const backend = createReferenceBackend();
    const model = openTransformer(variantModel('llama', {}).checkpoint, backend);
    const block = model.block(0);
    const weights = await block.load();
    const value = await block.forwardTo('mlpInput', await model.embed(ids), weights);
    const others = new Map(weights);
    others.set('model.layers.0.mlp.up_proj.weight', weights.get('model.layers.0.mlp.gate_proj.weight') as BufferHandle);
    const [before, after] = await Promise.all(
      [weights, others].map(async (each) => toF32(await backend.download((await block.recompute('mlpInput', value, each))[0]))),
    );
    expect(maxDifference(before, after)).toBeGreaterThan(1e-3);
  });
});
