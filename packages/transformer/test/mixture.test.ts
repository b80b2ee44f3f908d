import { createCpuBackend } from '@calibrant/backend-cpu';
import { type BufferHandle, createRng, toF32 } from '@calibrant/core';
import { openTransformer, type Transformer } from '@calibrant/transformer';
import { describe, expect, it } from '@jest/globals';
import { routeTokens } from '../src/runtime/route-tokens.js';
import { BACKENDS } from './backends.js';
import { maxDifference } from './compare.js';
import { goldenModel } from './golden-model.js';
import { variantModel } from './variant-model.js';

const random = createRng(12);
const ids = Int32Array.from({ length: 40 }, () => random.integer(320));

/** What each point of block 0 shows, copied to the host. */
async function observeBlock(model: Transformer, tokens: Int32Array) {
  const { backend } = model;
  const block = model.block(0);
  const weights = await block.load();
  const hidden = await model.embed(tokens);
  const seen = new Map<string, Promise<{ shape: readonly number[]; data: Float32Array }>>();
  const observe = (point: string, handle: BufferHandle) =>
    seen.set(
      point,
      backend.download(handle).then(({ shape, data }) => ({ shape, data: data as Float32Array })),
    );
  backend.free(await block.forward(hidden, weights, { observe }));
  const values = new Map(await Promise.all([...seen].map(async ([point, value]) => [point, await value] as const)));
  return { block, weights, hidden, values };
}

describe.each(BACKENDS)('a mixture of experts on the $backend backend', ({ create }) => {
  it('shows the linears of each expert exactly the tokens that are routed to it', async () => {
    const backend = create();
    const model = openTransformer(goldenModel('mixtral').checkpoint, backend);
    const { block, weights, hidden, values } = await observeBlock(model, ids);
    const routed = [0, 1, 2, 3].map((e) => values.get(`expert${e}Input`)?.shape[0] ?? 0);
    expect(routed.reduce((a, b) => a + b, 0)).toBe(2 * ids.length);
    const all = values.get('mlpInput')!.data;
    const rowsOfAll = new Set(Array.from(ids, (_, t) => String(all.subarray(t * 64, (t + 1) * 64))));
    for (const e of [0, 1, 2, 3]) {
      const { data, shape } = values.get(`expert${e}Input`)!;
      for (let r = 0; r < shape[0]; r++) expect(rowsOfAll.has(String(data.subarray(r * 64, (r + 1) * 64)))).toBe(true);
      for (const point of [`expert${e}Input`, `expert${e}Hidden`]) {
        const reached = await block.forwardTo(point, hidden, weights);
        expect(toF32(await backend.download(reached))).toEqual(values.get(point)!.data);
        backend.free(reached);
      }
    }
    block.release(weights);
    backend.free(hidden);
    await model.release();
    await backend.sync();
    expect(backend.allocatedBytes()).toBe(0);
    await backend.close();
  });

  it('shows all tokens to every expert where asked, and gives the same output', async () => {
    const backend = create();
    const model = openTransformer(goldenModel('mixtral').checkpoint, backend);
    const { block, weights, hidden, values } = await observeBlock(model, ids);
    const wanted = toF32(await backend.download(await block.forward(hidden, weights)));
    const counts = new Map<string, number>();
    const observe = (point: string, { shape }: BufferHandle) => counts.set(point, shape[0]);
    const output = await block.forward(hidden, weights, { observe, allTokens: true });
    expect(maxDifference(toF32(await backend.download(output)), wanted)).toBeLessThan(1e-5);
    for (const e of [0, 1, 2, 3]) for (const point of [`expert${e}Input`, `expert${e}Hidden`]) expect(counts.get(point)).toBe(ids.length);
    const reached = await block.forwardTo('expert3Input', hidden, weights, { allTokens: true });
    expect(toF32(await backend.download(reached))).toEqual(values.get('mlpInput')!.data);
    await backend.close();
  });

  it('leaves experts without tokens out, and gives 0 rows when their values are asked for', async () => {
    const backend = create();
    const model = openTransformer(variantModel('qwen3-moe', { num_local_experts: 21 }).checkpoint, backend);
    const { block, weights, hidden, values } = await observeBlock(model, ids.subarray(0, 3));
    const idle = Array.from({ length: 21 }, (_, e) => e).filter((e) => !values.has(`expert${e}Input`));
    expect(idle.length).toBeGreaterThanOrEqual(21 - 6);
    for (const [point, width] of [
      [`expert${idle[0]}Input`, 64],
      [`expert${idle[0]}Hidden`, 96],
    ] as const) {
      const reached = await block.forwardTo(point, hidden, weights);
      expect(reached.shape).toEqual([0, width]);
      expect((await backend.download(reached)).data.length).toBe(0);
      backend.free(reached);
    }
    await backend.close();
  });
});

describe('a mixture of experts', () => {
  it('lists the linears of each expert in its own stages, without router and gate', () => {
    const backend = createCpuBackend({ threads: 1 });
    const stages = openTransformer(goldenModel('qwen2-moe').checkpoint, backend).block(1).stages;
    const experts = (part: string) => [0, 1, 2, 3].map((e) => `expert${e}${part}`);
    const points = ['attentionInput', 'attentionOutput', ...experts('Input'), ...experts('Hidden'), 'mlpInput', 'sharedHidden'];
    expect(stages.map(({ point }) => point)).toEqual(points);
    expect(stages.map(({ group }) => group)).toEqual([0, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 5]);
    expect(stages.find(({ point }) => point === 'expert2Input')!.linears.map(({ name }) => name)).toEqual([
      'model.layers.1.mlp.experts.2.gate_proj.weight',
      'model.layers.1.mlp.experts.2.up_proj.weight',
    ]);
    expect(stages.flatMap(({ linears }) => linears).some(({ name }) => /mlp\.gate\.|expert_gate/.test(name))).toBe(false);
    return backend.close();
  });

  it('gives bit for bit the same whatever the number of lanes, alone or among other sequences', async () => {
    const run = async (threads: number) => {
      const backend = createCpuBackend({ threads });
      const model = openTransformer(goldenModel('qwen2-moe').checkpoint, backend);
      const sequences = [ids, ids.subarray(3, 30), ids.slice(0, 17).reverse(), ids.subarray(9)];
      const states = await model.run(sequences);
      const logits = await Promise.all(states.map(async (state) => toF32(await backend.download(await model.head(state)))));
      const alone = toF32(await model.logits(ids));
      await backend.close();
      return { logits, alone };
    };
    const [one, three] = [await run(1), await run(3)];
    expect(three.logits).toEqual(one.logits);
    expect(maxDifference(one.alone, one.logits[0])).toBeLessThan(1e-5);
  });
});

describe('routing', () => {
  const logits = Float32Array.of(1, 3, 2, 0, /* */ 5, 5, 5, 5, /* */ 0, -1, 0, 7);

  it('sends each token to the experts with the largest logits, the lower of equals', () => {
    const routes = routeTokens(logits, 4, 2, false);
    expect(routes.map(({ tokens }) => [...tokens])).toEqual([[1, 2], [0, 1], [0], [2]]);
  });

  it('weights by the softmax over all experts, or over the chosen ones', () => {
    const share = (chosen: number, among: number[]) => Math.exp(chosen) / among.reduce((sum, logit) => sum + Math.exp(logit), 0);
    const [, second, third] = routeTokens(logits, 4, 2, false);
    expect(second.weights[0]).toBeCloseTo(share(3, [1, 3, 2, 0]), 6);
    expect(third.weights[0]).toBeCloseTo(share(2, [1, 3, 2, 0]), 6);
    expect(second.weights[1]).toBeCloseTo(0.25, 6);
    const [, normalized] = routeTokens(logits, 4, 2, true);
    expect([...normalized.weights]).toEqual([Math.fround(share(3, [3, 2])), 0.5]);
  });

  it('survives logits that are not numbers or very large', () => {
    const routes = routeTokens(Float32Array.of(NaN, 1, 3e38, -3e38), 4, 2, true);
    expect(routes.map(({ tokens }) => tokens.length)).toEqual([0, 1, 1, 0]);
  });
});
