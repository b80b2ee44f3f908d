import { awq } from '@calibrant/awq';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { type Backend, type Checkpoint, createRng, tensor, toF32 } from '@calibrant/core';
import { measureLayers, openModel } from '@calibrant/pipeline';
import { smoothquant } from '@calibrant/smoothquant';
import { modelFolder } from '@calibrant/tiny-llama';
import { openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { variantModel } from '../../transformer/test/variant-model.js';
import { testRegistry } from './fixture.js';
import { transformedModel } from './transformed-model.js';

const sequences = [Int32Array.from([5, 9, 300, 21, 77]), Int32Array.from([400, 1, 2, 3])];
const down = 'model.layers.1.mlp.down_proj.weight';
let backend: Backend;
let checkpoint: Checkpoint;

beforeAll(async () => {
  backend = await createCpuBackend({ threads: 2 });
  checkpoint = await openModel(modelFolder, { registry: testRegistry(), backend });
});
afterAll(async () => {
  await checkpoint.close();
  await backend.close();
});

/** The model with the weights of one layer multiplied. */
function withScaled(name: string, factor: number, of = checkpoint): Checkpoint {
  return {
    ...of,
    async read(asked, range) {
      const read = await of.read(asked, range);
      return asked === name
        ? tensor(
            'f32',
            read.shape,
            toF32(read).map((value) => value * factor),
          )
        : read;
    },
  };
}

describe('errors of layers', () => {
  it('are what was done to a layer, and the drift begins behind its block', async () => {
    const base = openTransformer(checkpoint, backend);
    const quantized = openTransformer(withScaled(down, 1.25), backend);
    const before = backend.allocatedBytes();
    const { layers, drift } = await measureLayers({ base, quantized, sequences, backend });
    await Promise.all([base.release(), quantized.release()]);
    expect(backend.allocatedBytes()).toBeLessThanOrEqual(before);

    const changed = layers.find(({ name }) => name === down)!;
    expect(changed).toMatchObject({ block: 1, role: 'down_proj' });
    expect(changed.weightError).toBeCloseTo(0.0625, 6);
    expect(changed.outputError).toBeCloseTo(0.0625, 6);
    for (const { name, weightError, outputError } of layers)
      if (name !== down) expect([name, weightError, outputError ?? 0]).toEqual([name, 0, 0]);
    expect(layers.map(({ role }) => role).slice(0, 2)).toEqual(['embed_tokens', 'q_proj']);
    expect(drift[0]).toBe(0);
    for (const share of drift.slice(1)) expect(share).toBeGreaterThan(1e-4);
  });

  it.each([
    ['smoothquant', smoothquant(), { throughLayers: true }],
    ['awq', awq(), { ratios: 4, clip: false }],
  ])('are none where %s moved channels alone, and those of rounding where it was rounded as well', async (_, transform, options) => {
    const scheme = { kind: 'affine', bits: 4, granularity: 'group', groupSize: 128, symmetric: false } as const;
    const { model } = await transformedModel(checkpoint, transform, options, sequences, backend, scheme);
    const norm = 'model.layers.2.post_attention_layernorm.weight';
    expect(toF32(await model.read(norm))).not.toEqual(toF32(await checkpoint.read(norm)));
    const base = openTransformer(checkpoint, backend);
    const before = backend.allocatedBytes();
    const errorsOf = async (other: Checkpoint) => {
      const quantized = openTransformer(other, backend);
      const { layers } = await measureLayers({ base, quantized, sequences, backend });
      await quantized.release();
      return new Map(layers.map((layer) => [layer.name, layer]));
    };
    for (const { name, weightError, outputError = 0 } of (await errorsOf(model)).values())
      expect([name, weightError < 1e-8, outputError < 1e-8]).toEqual([name, true, true]);
    const { weightError, outputError } = (await errorsOf(withScaled(down, 1.25, model))).get(down)!;
    expect([weightError, outputError]).toEqual([expect.closeTo(0.0625, 5), expect.closeTo(0.0625, 5)]);
    await base.release();
    expect(backend.allocatedBytes()).toBeLessThanOrEqual(before);
  });

  it.each(['gemma2', 'qwen2-moe', 'opt'])(
    'of %s are none where SmoothQuant moved channels, through norms, experts and biases',
    async (name) => {
      const random = createRng(3);
      const texts = [1, 2].map(() => Int32Array.from({ length: 16 }, () => random.integer(320)));
      const variant = variantModel(name, {}).checkpoint;
      const { model } = await transformedModel(variant, smoothquant(), { throughLayers: true, alpha: 0.6 }, texts, backend);
      const [base, quantized] = [variant, model].map((each) => openTransformer(each, backend));
      const { layers } = await measureLayers({ base, quantized, sequences: texts, backend });
      await Promise.all([base.release(), quantized.release()]);
      for (const { weightError, outputError = 0 } of layers) expect(Math.max(weightError, outputError)).toBeLessThan(1e-10);
    },
  );
});
