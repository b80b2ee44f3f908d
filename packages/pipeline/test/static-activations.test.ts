import path from 'node:path';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { calibrators } from '@calibrant/calibrators';
import { compressedTensors } from '@calibrant/compressed-tensors';
import { type ActivationGrid, type Backend, createRegistry, type Format, type RecipeInput } from '@calibrant/core';
import { ggufFormat, ggufSchemes } from '@calibrant/gguf-format';
import { gptq } from '@calibrant/gptq';
import { openModel, quantizeModel } from '@calibrant/pipeline';
import { rtn } from '@calibrant/rtn';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { architectures, openTokenizer, openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { copyModel, scratchFolder, zeroTensor } from './fixture.js';

/** compressed-tensors that takes any plan and notes the grids it is given. */
function noting(found: Map<string, ActivationGrid>): Format {
  const format = compressedTensors() as Format;
  return {
    ...format,
    keepsExecution: true,
    async open({ execution: _execution, ...input }, ...rest) {
      const writer = await format.open(input, ...rest);
      return {
        ...writer,
        async writeActivation(of, grid) {
          found.set('linear' in of ? of.linear : `${of.block} ${of.part}`, grid);
        },
      };
    },
  };
}

const calibration = { source: 'file', path: evaluationTextPath, samples: 6, length: 64, seed: 0 } as const;
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

async function quantize(recipe: RecipeInput, out: string, { model = modelFolder, warnings = [] as string[] } = {}) {
  const found = new Map<string, ActivationGrid>();
  const registry = createRegistry([architectures, rtn(), gptq(), calibrators(), ggufSchemes(), ggufFormat(), noting(found)]);
  const base = { scheme: 'int8-channel-sym', format: 'compressed-tensors', calibration };
  const result = await quantizeModel({
    model,
    out: scratch.path(out),
    recipe: { ...base, ...recipe },
    registry,
    backend,
    onEvent: (event) => 'warning' in event && warnings.push(event.warning),
  });
  return { result, found };
}

/** All inputs of each layer, one entry for each calibration sequence in its order, by a pass of its own over the model. */
async function observedInputs(sequences: readonly Int32Array[]): Promise<Map<string, Float32Array[]>> {
  const registry = createRegistry([architectures]);
  const checkpoint = await openModel(modelFolder, { registry, backend });
  const model = openTransformer(checkpoint, backend);
  const names = new Map(model.linears().map(({ name, block, input }) => [name, `${block} ${input}`]));
  const found = new Map<string, Promise<Float32Array>[]>();
  const states = await model.run(sequences, {
    observe(block, point, handle) {
      const key = `${block} ${point}`;
      found.set(key, [...(found.get(key) ?? []), backend.download(handle).then(({ data }) => (data as Float32Array).slice())]);
    },
  });
  const inputs = new Map<string, Float32Array[]>();
  for (const [name, key] of names) inputs.set(name, await Promise.all(found.get(key)!));
  backend.free(...states);
  await model.release();
  await checkpoint.close();
  return inputs;
}

async function sequencesOf(): Promise<Int32Array[]> {
  const { calibrationSet } = await import('@calibrant/calibrators');
  const checkpoint = await openModel(modelFolder, { registry: createRegistry([architectures]), backend });
  const set = await calibrationSet(calibration, { tokenizer: await openTokenizer(checkpoint) });
  await checkpoint.close();
  return [...set.sequences];
}

describe('static activation grids', () => {
  it('of a data-free method are the ranges of the calibration set, for every quantized layer and every cache', async () => {
    const { result, found } = await quantize(
      { activations: 'int8-tensor-asym-static', activationCalibrator: 'minmax', kvCache: 'fp8-tensor-static' },
      'static',
    );
    const expected = await observedInputs(await sequencesOf());
    expect([...found.keys()].filter((key) => !key.includes(' ')).sort()).toEqual([...expected.keys()].sort());
    for (const [name, sequences] of expected) {
      const low = Math.min(0, ...sequences.map((values) => values.reduce((a, b) => Math.min(a, b))));
      const high = Math.max(0, ...sequences.map((values) => values.reduce((a, b) => Math.max(a, b))));
      const { scale = 0, zeroPoint = 0 } = found.get(name)!;
      expect(scale / ((high - low) / 255)).toBeCloseTo(1, 4);
      expect(Math.abs(zeroPoint - -low / scale)).toBeLessThanOrEqual(0.501);
    }
    expect([...found.keys()].filter((key) => key.includes(' '))).toHaveLength(8);
    expect(result.execution).toMatchObject({ activations: 'int8-tensor-asym-static', kvCache: 'fp8-tensor-static' });
    expect(result.execution?.scales?.['block 3 key'].scale).toBe(found.get('3 key')?.scale);
    expect(result.calibration?.sequences).toBe(6);
  });

  it('span what the activation calibrator chooses: each by its definition on the values themselves', async () => {
    const name = 'model.layers.2.mlp.down_proj.weight';
    const sequences = (await observedInputs(await sequencesOf())).get(name)!;
    const all = Float32Array.from(sequences.flatMap((values) => [...values]));
    const sizes = all.map(Math.abs).sort();
    const scaleOf = async (activationCalibrator: RecipeInput['activationCalibrator'], activations = 'int8-tensor-static') => {
      const { found, result } = await quantize({ activations, activationCalibrator }, `by-${scales++}`);
      expect(result.recipe.activationCalibrator).toMatchObject({ name: (activationCalibrator as { name: string }).name });
      return found.get(name)?.scale ?? 0;
    };
    let scales = 0;
    const most = sizes.at(-1)!;

    const bin = 2 ** (Math.floor(Math.log2(most)) - 10);
    const percentile = (await scaleOf({ name: 'percentile', options: { percentile: 99 } })) * 127.5;
    expect(Math.abs(percentile - sizes[Math.floor(0.99 * sizes.length)])).toBeLessThan(bin);

    const averaged = (pick: (a: number, b: number) => number) =>
      sequences.map((values) => values.reduce((a, b) => pick(a, b), 0)).reduce((average, value) => average + 0.25 * (value - average));
    const moving = await scaleOf({ name: 'moving-average', options: { averagingConstant: 0.25 } }, 'int4-tensor-asym-static');
    expect((moving * 15) / (averaged(Math.max) - averaged(Math.min))).toBeCloseTo(1, 4);

    // The best of the shrunk ranges, on the values themselves: bins are an eighth of a step wide or less, so that the choice may differ by little.
    const loss = (scale: number) => {
      let sum = 0;
      for (const x of all) sum += (x - scale * Math.min(7, Math.max(-8, Math.round(x / scale)))) ** 2;
      return sum;
    };
    const mse = await scaleOf({ name: 'mse', options: { norm: 2, grid: 40 } }, 'int4-tensor-static');
    const tried = Array.from({ length: 32 }, (_, i) => (most * (1 - i / 40)) / 7.5);
    expect(loss(mse)).toBeLessThan(1.02 * Math.min(...tried.map(loss)));
    expect(loss(mse)).toBeLessThan(1.0001 * loss(most / 7.5));

    const entropy = await scaleOf({ name: 'entropy' });
    expect(entropy * 127.5).toBeLessThan(most);
  });

  it('of caches follow the activation calibrator as well', async () => {
    const whole = await quantize({ kvCache: 'int8-tensor-static', activationCalibrator: 'minmax' }, 'cache-whole');
    const clipped = await quantize(
      { kvCache: 'int8-tensor-static', activationCalibrator: { name: 'percentile', options: { percentile: 95 } } },
      'cache-clipped',
    );
    expect(whole.found.size).toBe(8);
    for (const [at, { scale = 0 }] of whole.found) expect(clipped.found.get(at)?.scale).toBeLessThan(0.9 * scale);
  });

  it('are what an activation calibrator needs, and its options are checked', async () => {
    const dynamic = quantize({ activations: 'int8-token', activationCalibrator: 'mse' }, 'dynamic');
    await expect(dynamic).rejects.toThrow(/"mse" chooses the ranges of static grids.*dynamic grids take their ranges from each input/);
    const wrong = { activations: 'int8-tensor-static', activationCalibrator: { name: 'mse', options: { nrom: 2 } } };
    await expect(quantize(wrong, 'wrong-option')).rejects.toThrow(
      'Unknown option "recipe.activationCalibrator.options.nrom". Did you mean "norm"?',
    );
  });

  it('of an input that is always 0 have the scale 1, with a warning that names it', async () => {
    const folder = scratch.path('silent');
    await copyModel(folder);
    await zeroTensor(path.join(folder, 'model.safetensors'), 'model.layers.1.mlp.up_proj.weight');
    const warnings: string[] = [];
    const { found } = await quantize({ activations: 'int8-tensor-static' }, 'silent-q', { model: folder, warnings });
    expect(found.get('model.layers.1.mlp.down_proj.weight')?.scale).toBe(1);
    expect(warnings.join()).toMatch(/1 values? (is|are) 0 on every calibration token, such as model\.layers\.1\.mlp\.down_proj\.weight/);
  });

  it('layers that stay in floating point keep their inputs so, and layers with one input have one scale', async () => {
    const { found } = await quantize(
      { activations: 'int8-tensor-static', keep: ['*.0.mlp.*'], keepActivations: ['*.down_proj.weight'] },
      'kept',
    );
    expect([...found.keys()].filter((name) => /\.0\.mlp|down_proj/.test(name))).toEqual([]);
    const scaleOf = (part: string) => found.get(`model.layers.1.${part}.weight`)?.scale;
    expect(scaleOf('self_attn.q_proj')).toBe(scaleOf('self_attn.v_proj'));
    expect(scaleOf('mlp.gate_proj')).toBe(scaleOf('mlp.up_proj'));
    expect(scaleOf('self_attn.o_proj')).not.toBe(scaleOf('self_attn.q_proj'));
  });

  it('go with GPTQ, whose calibration may see rounded inputs', async () => {
    const recipe = { quantizer: 'gptq', scheme: 'int4-g64-asym', activations: 'int4-token', kvCache: 'int8-tensor-static' };
    const plain = await quantize(recipe, 'gptq');
    const rounded = await quantize({ ...recipe, roundedCalibration: true }, 'gptq-rounded');
    expect(plain.found.size).toBe(8);
    const error = ({ result }: typeof plain) => Number(result.tensors.find(({ facts }) => facts)?.facts?.['rtnError']);
    expect(error(rounded)).not.toBe(error(plain));
    expect(error(rounded) / error(plain)).toBeCloseTo(1, 0);
  });

  it('are refused for formats without a place for them, before anything is computed', async () => {
    const gguf = quantize({ scheme: 'Q8_0', format: 'gguf', activations: 'int8-token' }, 'gguf');
    await expect(gguf).rejects.toThrow('has no place for the grids of activations');
    await expect(quantize({ activations: 'int8-rows' }, 'wrong')).rejects.toThrow('is no activation grid');
  });
});
