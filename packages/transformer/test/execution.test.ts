import { createCpuBackend } from '@calibrant/backend-cpu';
import {
  type ActivationGrid,
  type Backend,
  type Checkpoint,
  createReferenceBackend,
  type ExecutionPlan,
  parseActivationScheme,
  roundActivations,
  tensor,
  toF32,
} from '@calibrant/core';
import { openTransformer, planExecution, type Transformer } from '@calibrant/transformer';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { expectCachedAsWhole } from './cached-as-whole.js';
import { maxDifference } from './compare.js';
import { goldenModel } from './golden-model.js';
import { memoryCheckpoint } from './safetensors-checkpoint.js';

const IDS = Int32Array.of(3, 140, 15, 92, 65, 35, 89, 79, 300, 12);
/** A step so wide that everything rounds to zero. */
const NOTHING: ActivationGrid = { scheme: parseActivationScheme('int8-tensor-static'), scale: 1e30 };

/** The golden model with some weights zero. */
function withZeros(name: string, ...zeros: string[]): Checkpoint {
  const { checkpoint, weights } = goldenModel(name);
  const changed = new Map(weights);
  for (const weight of zeros) changed.set(weight, tensor('f32', weights.get(weight)!.shape));
  return memoryCheckpoint(name, checkpoint.config, changed);
}

const plan = (names: readonly string[], grid: ActivationGrid): ExecutionPlan => ({
  activations: new Map(names.map((name) => [name, grid])),
});

describe('an execution plan', () => {
  let backend: Backend;
  beforeEach(() => {
    backend = createReferenceBackend();
  });
  afterEach(async () => {
    await backend.sync();
    expect(backend.allocatedBytes()).toBe(0);
    await backend.close();
  });

  async function logits(checkpoint: Checkpoint, execution?: ExecutionPlan): Promise<Float32Array> {
    const model = openTransformer(checkpoint, backend, execution ? { execution } : {});
    const result = toF32(await model.logits(IDS));
    await model.release();
    return result;
  }

  it.each([
    ['llama', 'model.layers.1.mlp.down_proj.weight'],
    ['llama', 'model.layers.0.self_attn.k_proj.weight'],
    ['mixtral', 'model.layers.0.block_sparse_moe.experts.2.w2.weight'],
  ])('of %s that rounds the input of %s to zero is the model with that weight zero', async (name, weight) => {
    const { checkpoint } = goldenModel(name);
    const rounded = await logits(checkpoint, plan([weight], NOTHING));
    expect(maxDifference(rounded, await logits(withZeros(name, weight)))).toBeLessThan(1e-5);
    expect(maxDifference(rounded, await logits(checkpoint))).toBeGreaterThan(1e-3);
  });

  it.each([
    ['key', 'k_proj'],
    ['value', 'v_proj'],
  ] as const)('that rounds cached %ss to zero is the model with %s zero', async (part, projection) => {
    const { checkpoint } = goldenModel('llama');
    const fine = { key: { scheme: FINE }, value: { scheme: FINE } };
    const caching = (grids: typeof fine): ExecutionPlan => ({ activations: new Map(), keyValueCache: new Map([[1, grids]]) });
    const rounded = await logits(checkpoint, caching({ ...fine, [part]: NOTHING }));
    const zero = withZeros('llama', `model.layers.1.self_attn.${projection}.weight`);
    expect(maxDifference(rounded, await logits(zero, caching(fine)))).toBeLessThan(1e-5);
    expect(maxDifference(rounded, await logits(checkpoint, caching(fine)))).toBeGreaterThan(0.01);
  });

  it('of the checkpoint is followed unless another one or none is given', async () => {
    const { checkpoint } = goldenModel('llama');
    const execution = planExecution(openTransformer(checkpoint, backend).description, { activations: parseActivationScheme('int4-token') });
    const planned = { ...checkpoint, execution };
    const byPlan = await logits(planned);
    expect(byPlan).toEqual(await logits(checkpoint, execution));
    const model = openTransformer(planned, backend, { execution: null });
    expect(toF32(await model.logits(IDS))).toEqual(await logits(checkpoint));
    await model.release();
    expect(maxDifference(byPlan, await logits(checkpoint))).toBeGreaterThan(1e-3);
  });

  it('shows observers the inputs before rounding, or on request after it, also inside experts', async () => {
    const { checkpoint } = goldenModel('mixtral');
    const grid = { scheme: parseActivationScheme('int4-g8-asym') };
    const { description } = openTransformer(checkpoint, backend);
    const model = openTransformer(checkpoint, backend, { execution: planExecution(description, { activations: grid.scheme }) });
    const block = model.block(0);
    const weights = await block.load();
    const hidden = await model.embed(IDS);
    const seen = { before: new Map<string, Promise<Float32Array>>(), after: new Map<string, Promise<Float32Array>>() };
    const read = (handle: Parameters<Backend['download']>[0]) => backend.download(handle).then(toF32);
    backend.free(
      await block.forward(hidden, weights, {
        observe(point, handle) {
          seen.before.set(point, read(handle));
          const rounded = roundActivations(backend, handle, grid);
          seen.after.set(point, read(rounded));
          backend.free(rounded);
        },
      }),
    );
    const rounded = new Map<string, Promise<Float32Array>>();
    const observe = (point: string, handle: Parameters<Backend['download']>[0]) => rounded.set(point, read(handle));
    backend.free(await block.forward(hidden, weights, { observe, observeRounded: true }));
    expect(rounded.size).toBeGreaterThan(4);
    for (const { point } of block.stages) {
      const [plain, grainy] = [
        await block.forwardTo(point, hidden, weights),
        await block.forwardTo(point, hidden, weights, { observeRounded: true }),
      ];
      expect(await read(grainy)).toEqual((await seen.after.get(point)) ?? new Float32Array());
      expect(await read(plain)).toEqual((await seen.before.get(point)) ?? new Float32Array());
      expect(await rounded.get(point)).toEqual(await seen.after.get(point));
      backend.free(plain, grainy);
    }
    backend.free(hidden);
    block.release(weights);
    await model.release();
  });

  it('covers the linear layers of blocks, without routers, the head and what is to be kept', () => {
    const { description } = openTransformer(goldenModel('mixtral').checkpoint, backend);
    const scheme = parseActivationScheme('int8-token');
    const { activations, keyValueCache } = planExecution(description, {
      activations: scheme,
      keep: (name) => name.endsWith('w2.weight'),
      keyValueCache: scheme,
    });
    expect([...activations.keys()].filter((name) => /gate\.weight|lm_head|w2/.test(name))).toEqual([]);
    expect(activations.has('model.layers.1.block_sparse_moe.experts.0.w1.weight')).toBe(true);
    expect(keyValueCache?.size).toBe(description.blocks.length);
  });

  it.each([
    ['an unknown layer', plan(['model.layers.0.mlp.down.weight'], NOTHING), 'Did you mean "model.layers.0.mlp.down_proj.weight"?'],
    [
      'groups that do not divide',
      plan(['model.layers.0.mlp.down_proj.weight'], { scheme: parseActivationScheme('int8-g7') }),
      'Groups of 7',
    ],
    ['a scale that is missing', plan(['lm_head.weight'], { scheme: NOTHING.scheme }), 'needs a positive scale'],
    ['a range that a cache cannot know', cache('int8-tensor', 0), 'grows token by token'],
    ['a block that is not there', cache('int8-token', 99), 'block 99'],
  ])('with %s is refused', (_, execution, message) => {
    expect(() => openTransformer(goldenModel('llama').checkpoint, backend, { execution })).toThrow(message);
  });
});

const FINE = parseActivationScheme('fp8-token');

function cache(name: string, block: number): ExecutionPlan {
  const grid = { scheme: parseActivationScheme(name) };
  return { activations: new Map(), keyValueCache: new Map([[block, { key: grid, value: grid }]]) };
}

describe('cached decoding with a quantized cache and quantized inputs', () => {
  it.each([
    ['llama', 'int8-token', 'int4-g8-asym'],
    ['mixtral', 'int8-token', 'fp8-token'],
  ])('of %s (inputs %s, cache %s) equals the forward pass over the whole sequence', async (name, activations, keyValueCache) => {
    const { checkpoint } = goldenModel(name);
    const backend = createReferenceBackend();
    const { description }: Transformer = openTransformer(checkpoint, backend);
    const execution = planExecution(description, {
      activations: parseActivationScheme(activations),
      keyValueCache: parseActivationScheme(keyValueCache),
    });
    await expectCachedAsWhole(backend, checkpoint, 40, { execution });
  });

  it('gives the same logits on one lane and on two', async () => {
    const { checkpoint } = goldenModel('llama');
    const results: Float32Array[] = [];
    for (const threads of [1, 2]) {
      const backend = createCpuBackend({ threads });
      const { description } = openTransformer(checkpoint, backend);
      const schemes = { activations: parseActivationScheme('int4-tensor'), keyValueCache: parseActivationScheme('int4-g8') };
      const model = openTransformer(checkpoint, backend, { execution: planExecution(description, schemes) });
      results.push(toF32(await model.logits(IDS)));
      await model.release();
      await backend.close();
    }
    expect(results[1]).toEqual(results[0]);
  });
});
