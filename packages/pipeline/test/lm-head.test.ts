import { readFile } from 'node:fs/promises';
import { awqFormat } from '@calibrant/awq-format';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { calibrationSet } from '@calibrant/calibrators';
import { compressedTensors } from '@calibrant/compressed-tensors';
import { createRegistry, type RecipeInput, toF32 } from '@calibrant/core';
import { ggufFormat, ggufSchemes } from '@calibrant/gguf-format';
import { gptq } from '@calibrant/gptq';
import { gptqFormat } from '@calibrant/gptq-format';
import { openModel, quantizeModel } from '@calibrant/pipeline';
import { rtn } from '@calibrant/rtn';
import { modelFolder } from '@calibrant/tiny-llama';
import { architectures, openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratchFolder } from './fixture.js';
import { writeRandomModel } from './random-model.js';

const registry = createRegistry([
  architectures,
  rtn(),
  gptq(),
  gptqFormat(),
  awqFormat(),
  compressedTensors(),
  ggufFormat(),
  ggufSchemes(),
]);
const backend = createCpuBackend({ threads: 1 });
const calibration = { source: 'random', samples: 4, length: 40, seed: 3 } as const;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
beforeAll(async () => {
  scratch = await scratchFolder();
  await writeRandomModel(scratch.path('model'), 'olmo2');
});
afterAll(async () => {
  await backend.close();
  await scratch.clean();
});

function quantize(recipe: RecipeInput, out: string, model = scratch.path('model')) {
  const base = { quantizer: 'gptq', scheme: 'int4-g16-sym', format: 'gptq', calibration, quantizeLmHead: true } as const;
  return quantizeModel({ model, out: scratch.path(out), recipe: { ...base, ...recipe }, registry, backend });
}

async function configOf(out: string): Promise<Record<string, any>> {
  return JSON.parse(await readFile(scratch.path(`${out}/config.json`), 'utf8')).quantization_config;
}

/** Mean squared difference of the logits, over the calibration tokens, that the stored head and the original one make of the quantized model's last hidden states. */
async function measuredError(out: string): Promise<number> {
  const checkpoint = await openModel(scratch.path(out), { registry, backend });
  const original = await openModel(scratch.path('model'), { registry, backend });
  const model = openTransformer(checkpoint, backend);
  const { vocabSize } = model.description;
  const { sequences } = await calibrationSet(calibration, { vocabSize, generator: { vocabSize } as never });
  const [before, after] = await Promise.all([original, checkpoint].map(async (from) => toF32(await from.read('lm_head.weight'))));
  let [sum, count] = [0, 0];
  for (const state of await model.run(sequences)) {
    const x = await backend.download(await model.finalNorm(state));
    const [tokens, width] = x.shape;
    for (let t = 0; t < tokens; t++)
      for (let v = 0; v < vocabSize; v++, count++) {
        let difference = 0;
        for (let c = 0; c < width; c++) difference += (after[v * width + c] - before[v * width + c]) * (x.data[t * width + c] as number);
        sum += difference ** 2;
      }
  }
  await Promise.all([checkpoint.close(), original.close()]);
  return sum / count;
}

describe('a quantized output projection', () => {
  it.each([
    ['gptq', { name: 'gptq', options: { scaleDtype: 'f32' } }],
    ['compressed-tensors', { name: 'compressed-tensors', options: { scaleDtype: 'f32' } }],
  ])('is calibrated on what the quantized blocks give it, stored and read back: %s', async (name, format) => {
    const { tensors } = await quantize({ format }, name);
    const head = tensors.find((tensor) => tensor.name === 'lm_head.weight')!;
    expect(head.scheme).toBe('int4-g16-sym');
    expect(Number(head.facts!['error'])).toBeLessThan(Number(head.facts!['rtnError']));
    const measured = await measuredError(name);
    expect(Math.abs(measured / Number(head.facts!['error']) - 1)).toBeLessThan(1e-3);
    const config = await configOf(name);
    if (name === 'gptq') expect(config).toMatchObject({ lm_head: true, bits: 4 });
    else expect(config).toMatchObject({ ignore: [], config_groups: { group_0: { targets: ['Linear', 'lm_head'] } } });
  });

  it('is rounded to nearest without calibration, gets a grid of its own, and is compared with the full-precision model by GPTAQ', async () => {
    const overrides = { 'lm_head.weight': 'int8-g16-sym' };
    const rounded = await quantize({ quantizer: 'rtn', overrides }, 'rounded');
    expect(rounded.tensors.find(({ name }) => name === 'lm_head.weight')).toMatchObject({ scheme: 'int8-g16-sym' });
    expect((await configOf('rounded')).dynamic).toMatchObject({ '+:^lm_head$': { bits: 8, group_size: 16, sym: true } });
    const asymmetric = await quantize({ quantizer: { name: 'gptq', options: { asymmetricCalibration: true } } }, 'asymmetric');
    const plain = await quantize({}, 'plain');
    const error = ({ tensors }: typeof plain) => tensors.find(({ name }) => name === 'lm_head.weight')!.facts!['error'];
    expect(error(asymmetric)).not.toBe(error(plain));
    await backend.sync();
  });

  it('stays as it is unless asked for', async () => {
    const { tensors } = await quantize({ quantizeLmHead: false }, 'kept');
    expect(tensors.find(({ name }) => name === 'lm_head.weight')!.scheme).toBe('f32');
    expect(await configOf('kept')).toMatchObject({ lm_head: false });
  });

  it.each([
    ['tied weights', {}, /embedding as output projection.*--quantize-lm-head/],
    ['AWQ', { format: 'awq' }, /"awq" does not take.*AutoAWQ and transformers leave lm_head unquantized/],
    ['GGUF', { quantizer: 'rtn', scheme: 'Q4_K_M', format: 'gguf' }, /--output-tensor-type/],
    [
      'rounded activations',
      { scheme: 'int8-channel-sym', format: 'compressed-tensors', activations: 'int8-token' },
      /round the inputs of the output projection/,
    ],
  ] as [string, RecipeInput, RegExp][])('is refused before anything is computed: %s', async (what, recipe, message) => {
    const model = what === 'tied weights' ? modelFolder : scratch.path('model');
    await expect(quantize(recipe, 'refused', model)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(message),
    });
  });

  it('an override of it alone says what is missing', async () => {
    await expect(quantize({ quantizeLmHead: false, overrides: { 'lm_head.weight': 'int8-g16-sym' } }, 'refused')).rejects.toMatchObject({
      code: 'INVALID_RECIPE',
      message: expect.stringMatching(/lm_head\.weight.*quantizeLmHead/),
    });
  });
});
