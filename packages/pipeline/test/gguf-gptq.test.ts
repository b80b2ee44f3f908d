import { readFile } from 'node:fs/promises';
import { createCpuBackend } from '@calibrant/backend-cpu';
import type { Backend, PlannedTensor, Quantizer, RecipeInput, RunEvent } from '@calibrant/core';
import { blockScheme } from '@calibrant/gguf-format';
import { gptq } from '@calibrant/gptq';
import { evaluateModel, quantizeModel } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getLlama } from 'node-llama-cpp';
import { checkGrids, targetsOf } from '../src/run/targets.js';
import { scratchFolder, testRegistry } from './fixture.js';

const registry = testRegistry();
const calibration = { source: 'self', samples: 48, length: 128, seed: 1 } as const;
let backend: Backend;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  backend = await createCpuBackend({ threads: 2 });
  scratch = await scratchFolder();
});
afterAll(async () => {
  await backend.close();
  await scratch.clean();
});

const run = (recipe: RecipeInput, out: string) =>
  quantizeModel({ model: modelFolder, recipe: { format: 'gguf', ...recipe }, out: scratch.path(out), registry, backend });
const divergence = async (model: string) =>
  (await evaluateModel({ model, base: modelFolder, text: evaluationTextPath, maxWindows: 4, registry, backend })).comparison!.meanKl;

describe('GPTQ into GGUF', () => {
  it('diverges less than the encoders with and without importance, at the same bytes of tensors, and llama.cpp loads it', async () => {
    const plain = await run({ scheme: 'Q4_K_M' }, 'plain');
    const weighted = await run({ scheme: 'Q4_K_M', importance: { calibration } }, 'weighted');
    const result = await run({ scheme: 'Q4_K_M', quantizer: 'gptq', calibration }, 'gptq');
    expect(result.bitsPerWeight).toBe(plain.bitsPerWeight);
    const [ofPlain, ofWeighted, ofGptq] = [
      await divergence(plain.files[0]),
      await divergence(weighted.files[0]),
      await divergence(result.files[0]),
    ];
    expect(ofGptq).toBeLessThan(0.75 * ofPlain);
    expect(ofGptq).toBeLessThan(ofWeighted);

    const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false });
    const model = await llama.loadModel({ modelPath: result.files[0] });
    expect(model.size).toBeGreaterThan(2e6);
    await model.dispose();
    await llama.dispose();
  });

  it('reports per layer that the error is not above either encoder’s', async () => {
    const saved = JSON.parse(await readFile(scratch.path('gptq/calibrant.json'), 'utf8'));
    const layers = saved.tensors.filter((tensor: { facts?: unknown }) => tensor.facts);
    expect(layers).toHaveLength(28);
    for (const { facts } of layers) expect(facts.error).toBeLessThanOrEqual(Math.min(facts.rtnError, facts.weightedError) * (1 + 1e-4));
  });

  it('leaves no buffer behind', async () => {
    await backend.sync();
    expect(backend.allocatedBytes()).toBe(0);
  });
});

describe('which tensors a quantizer fills', () => {
  const linears = new Set(['a', 'b', 'c', 'd', 'e']);
  const planned = (name: string, more: Partial<PlannedTensor> = {}): PlannedTensor => ({
    name,
    source: name,
    shape: [8, 256],
    scheme: blockScheme('Q4_K'),
    ...more,
  });
  const { quantizeBlocks: _quantizeBlocks, ...integersOnly } = gptq();
  const { grid: _grid, ...bare } = blockScheme('Q4_K') as Extract<PlannedTensor['scheme'], { kind: 'block' }>;

  it('are the linear layers that the checkpoint holds one by one', () => {
    const plan = [
      planned('a'),
      planned('embedding'),
      planned('b', { add: 1 }),
      planned('c-upper', { source: 'c' }),
      planned('c-lower', { source: 'c' }),
      planned('d', { scheme: { kind: 'float', dtype: 'f16' } }),
    ];
    expect([...targetsOf(plan, gptq(), linears)].map(({ name }) => name)).toEqual(['a']);
    const events: RunEvent[] = [];
    checkGrids(gptq(), plan, linears, { onEvent: (event) => events.push(event) });
    expect(JSON.stringify(events)).toMatch(/leaves 3 tensors.*such as b/);
  });

  it('are none in block types where the quantizer needs no calibration', () => {
    const rtn = registry.get('quantizer', 'rtn');
    expect(targetsOf([planned('a')], rtn, linears).size).toBe(0);
    expect(() => checkGrids(rtn, [planned('a', { scheme: bare })], linears, {})).not.toThrow();
  });

  it('are refused with their names where the type has no grid or the quantizer only integer grids', () => {
    expect(() => checkGrids(gptq(), [planned('e', { scheme: bare })], linears, {})).toThrow(/gptq.*codes of Q4_K.*stores e:.*method rtn/s);
    expect(() => checkGrids(integersOnly as Quantizer, [planned('e')], linears, {})).toThrow(/gptq.*integer grids/s);
  });
});
