import { createCpuBackend } from '@calibrant/backend-cpu';
import { type Backend, CalibrantError } from '@calibrant/core';
import { type ExecutionNames, evaluateModel } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratchFolder, testRegistry } from './fixture.js';
import { writeOutlierTwin } from './outlier-twin.js';

const registry = testRegistry();
let backend: Backend;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  backend = createCpuBackend({ threads: 2 });
  scratch = await scratchFolder();
});
afterAll(async () => {
  await backend.close();
  await scratch.clean();
});

async function meanKl(execution: ExecutionNames, model = modelFolder): Promise<number> {
  const result = await evaluateModel({
    model,
    base: model,
    text: evaluationTextPath,
    maxWindows: 2,
    windowSize: 256,
    execution,
    registry,
    backend,
  });
  expect(result.execution).toBeDefined();
  return result.comparison!.meanKl;
}

describe('a simulated run of the embedded model', () => {
  it('loses little with inputs in int8, more in E4M3, most in int4, and less where down_proj is kept', async () => {
    const int8 = await meanKl({ activations: 'int8-token' });
    const fp8 = await meanKl({ activations: 'fp8-token' });
    const int4 = await meanKl({ activations: 'int4-token' });
    const kept = await meanKl({ activations: 'int4-token', keepActivations: ['*.down_proj.weight'] });
    expect(int8).toBeLessThan(8e-3);
    expect(fp8).toBeGreaterThan(int8);
    expect(fp8).toBeLessThan(0.05);
    expect(int4).toBeGreaterThan(20 * int8);
    expect(kept).toBeLessThan(0.9 * int4);
  });

  it('loses less by cached keys and values in int8 per head than in int4, and per head less than per token', async () => {
    const int8 = await meanKl({ kvCache: 'int8-head' });
    const int4 = await meanKl({ kvCache: 'int4-head-asym' });
    const token = await meanKl({ kvCache: 'int4-token-asym' });
    expect(int8).toBeLessThan(1e-3);
    expect(int4).toBeGreaterThan(10 * int8);
    expect(token).toBeGreaterThan(int4);
  });

  it('with outlier channels needs one scale per token rather than one per tensor', async () => {
    const twin = scratch.path('twin');
    await writeOutlierTwin(twin);
    const perTensor = await meanKl({ activations: 'int8-tensor' }, twin);
    const perToken = await meanKl({ activations: 'int8-token' }, twin);
    expect(perToken).toBeLessThan(0.7 * perTensor);
    expect(perTensor).toBeGreaterThan(5 * (await meanKl({ activations: 'int8-tensor' })));
  });

  it.each([
    [{ activations: 'int8-tensor-static' }, 'come from calibration'],
    [{ activations: 'int9-token' }, 'integers have 2 to 8 bits'],
    [{ activations: 'q8' }, 'is no activation grid'],
    [{ kvCache: 'int8-tensor' }, 'grows token by token'],
    [{ activations: 'int8-g100' }, 'Groups of 100 channels do not divide'],
    [{ activations: 'int8-token', keepActivations: ['*.nothing'] }, 'matches no linear layer'],
  ])('with %j is refused', async (execution, message) => {
    const run = evaluateModel({ model: modelFolder, text: evaluationTextPath, maxWindows: 1, execution, registry, backend });
    await expect(run).rejects.toThrow(message);
    await expect(run).rejects.toBeInstanceOf(CalibrantError);
  });
});
