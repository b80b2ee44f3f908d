import { createCpuBackend } from '@calibrant/backend-cpu';
import { bitsandbytesFormat, bitsandbytesSchemes } from '@calibrant/bitsandbytes-format';
import type { Backend, Registry } from '@calibrant/core';
import { convertModel, openModel, quantizeModel } from '@calibrant/pipeline';
import { modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratchFolder, testRegistry } from './fixture.js';

let backend: Backend;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let registry: Registry;

beforeAll(async () => {
  backend = await createCpuBackend({ threads: 2 });
  scratch = await scratchFolder();
  registry = testRegistry();
  registry.add(bitsandbytesFormat(), ...bitsandbytesSchemes());
});
afterAll(async () => {
  await scratch.clean();
  await backend.close();
});

const quantize = (out: string, recipe: object) => quantizeModel({ model: modelFolder, out: scratch.path(out), recipe, registry, backend });
const convert = (from: string, format: string, out: string, more: object = {}) =>
  convertModel({ model: scratch.path(from), format, out: scratch.path(out), registry, backend, ...more });

describe('models of bitsandbytes', () => {
  it('are written by the name of a grid alone, and read back', async () => {
    await quantize('nf4-dq', { scheme: 'nf4-g128-dq' });
    const checkpoint = await openModel(scratch.path('nf4-dq'), { registry, backend });
    const storages = [...checkpoint.tensors.values()].map(({ storage }) => storage ?? 'plain');
    await checkpoint.close();
    expect(storages.filter((storage) => storage === 'bitsandbytes nf4-g128-dq')).toHaveLength(28);
  });

  it('go over without loss where the output has the same grid, and are refused or rounded again elsewhere', async () => {
    const back = await convert('nf4-dq', 'bitsandbytes', 'nf4');
    expect([back.steps, back.verified]).toEqual([{ exact: 28, requantized: 0, copied: 10 }, 28]);
    expect(back.tensors.find(({ step }) => step === 'exact')).toMatchObject({ from: 'nf4-g128-dq', to: 'nf4-g128' });
    await expect(convert('nf4', 'gguf', 'g1')).rejects.toThrow(/nf4-g128: the format gguf has no place for nf4-g128.*--allow-lossy/);
    expect((await convert('nf4', 'gguf', 'g2', { allowLossy: true })).steps).toMatchObject({ exact: 0, requantized: 28 });
  });

  it('LLM.int8() keeps its codes, and has scales that Q8_0 would round', async () => {
    await quantize('int8', { scheme: 'llm-int8' });
    expect((await convert('int8', 'bitsandbytes', 'int8-again')).verified).toBe(28);
    await expect(convert('int8', 'gguf', 'g3')).rejects.toThrow(
      /28 tensors such as .*Q8_0 has 16-bit scales, which would round those of the source/,
    );
  });

  it('names of grids that do not exist, and formats without a place for them, are refused', async () => {
    await expect(quantize('x1', { scheme: 'nf4-g100', format: 'bitsandbytes' })).rejects.toThrow(/no scheme named "nf4-g100"/);
    await expect(quantize('x2', { scheme: 'nf4', format: 'gguf' })).rejects.toThrow(/GGUF has no type for "nf4"/);
    await expect(quantize('x3', { scheme: 'int4-g64-sym', format: 'bitsandbytes' })).rejects.toThrow(/bitsandbytes holds nf4, fp4/);
  });
});
