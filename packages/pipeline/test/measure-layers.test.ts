import { createCpuBackend } from '@calibrant/backend-cpu';
import { type Backend, type Checkpoint, tensor, toF32 } from '@calibrant/core';
import { measureLayers, openModel } from '@calibrant/pipeline';
import { modelFolder } from '@calibrant/tiny-llama';
import { openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { testRegistry } from './fixture.js';

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
function withScaled(name: string, factor: number): Checkpoint {
  return {
    ...checkpoint,
    async read(asked, range) {
      const read = await checkpoint.read(asked, range);
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
});
