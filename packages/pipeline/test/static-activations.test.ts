import { createCpuBackend } from '@calibrant/backend-cpu';
import { compressedTensors } from '@calibrant/compressed-tensors';
import { type ActivationGrid, type Backend, createRegistry, type Format, type RecipeInput } from '@calibrant/core';
import { ggufFormat, ggufSchemes } from '@calibrant/gguf-format';
import { gptq } from '@calibrant/gptq';
import { openModel, quantizeModel } from '@calibrant/pipeline';
import { rtn } from '@calibrant/rtn';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { architectures, openTokenizer, openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratchFolder } from './fixture.js';

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

async function quantize(recipe: RecipeInput, out: string, found = new Map<string, ActivationGrid>()) {
  const registry = createRegistry([architectures, rtn(), gptq(), ggufSchemes(), ggufFormat(), noting(found)]);
  const base = { scheme: 'int8-channel-sym', format: 'compressed-tensors', calibration };
  const result = await quantizeModel({ model: modelFolder, out: scratch.path(out), recipe: { ...base, ...recipe }, registry, backend });
  return { result, found };
}

/** Least and greatest input of each layer over the calibration sequences, by a pass of its own over the model. */
async function observedRanges(sequences: readonly Int32Array[]): Promise<Map<string, [number, number]>> {
  const registry = createRegistry([architectures]);
  const checkpoint = await openModel(modelFolder, { registry, backend });
  const model = openTransformer(checkpoint, backend);
  const names = new Map(model.linears().map(({ name, block, input }) => [name, `${block} ${input}`]));
  const ranges = new Map<string, [number, number]>();
  const waiting: Promise<void>[] = [];
  const states = await model.run(sequences, {
    observe(block, point, handle) {
      const key = `${block} ${point}`;
      waiting.push(
        backend.download(handle).then(({ data }) => {
          const [low, high] = ranges.get(key) ?? [0, 0];
          ranges.set(key, [Math.min(low, ...(data as Float32Array)), Math.max(high, ...(data as Float32Array))]);
        }),
      );
    },
  });
  await Promise.all(waiting);
  backend.free(...states);
  await model.release();
  await checkpoint.close();
  return new Map([...names].map(([name, key]) => [name, ranges.get(key)!]));
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
    const { result, found } = await quantize({ activations: 'int8-tensor-asym-static', kvCache: 'fp8-tensor-static' }, 'static');
    const expected = await observedRanges(await sequencesOf());
    expect([...found.keys()].filter((key) => !key.includes(' ')).sort()).toEqual([...expected.keys()].sort());
    for (const [name, [low, high]] of expected) {
      const { scale = 0, zeroPoint = 0 } = found.get(name)!;
      expect(scale / ((high - low) / 255)).toBeCloseTo(1, 4);
      expect(Math.abs(zeroPoint - -low / scale)).toBeLessThanOrEqual(0.501);
    }
    expect([...found.keys()].filter((key) => key.includes(' '))).toHaveLength(8);
    expect(result.execution).toMatchObject({ activations: 'int8-tensor-asym-static', kvCache: 'fp8-tensor-static' });
    expect(result.execution?.scales?.['block 3 key'].scale).toBe(found.get('3 key')?.scale);
    expect(result.calibration?.sequences).toBe(6);
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
