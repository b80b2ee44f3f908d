import { compressedTensors } from '@calibrant/compressed-tensors';
import {
  type ActivationGrid,
  type AffineScheme,
  affineValues,
  createReferenceBackend,
  decodeTensor,
  type ExecutionPlan,
  encodeMinifloat,
  type MinifloatScheme,
  type PlannedTensor,
  parseActivationScheme,
  parseAffineScheme,
  parseMinifloatScheme,
  parseOptions,
  type QuantizedTensor,
  type Tensor,
  type TensorScheme,
  tensor,
} from '@calibrant/core';
import { formatInput, memoryCheckpoint, memoryFolder, randomLayer, writtenCheckpoint } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const format = compressedTensors();
const backend = createReferenceBackend();
const options = parseOptions(format.options, { scaleDtype: 'f32' }, 'format');
const MODULE = 'model.layers.0.self_attn.q_proj';
const OTHER = 'model.layers.0.mlp.down_proj';
const SHAPE = [130, 260] as const;

const affine = (name: string) => parseAffineScheme(name) as AffineScheme;
const float = (name: string) => parseMinifloatScheme(name) as MinifloatScheme;
const weight = tensor(
  'f32',
  SHAPE,
  Float32Array.from({ length: SHAPE[0] * SHAPE[1] }, (_, i) => Math.sin(i * 1.7) * 2 ** ((i % 13) - 9)),
);

async function codesOf(scheme: TensorScheme): Promise<QuantizedTensor> {
  if (scheme.kind === 'affine') return randomLayer(scheme, SHAPE);
  const handle = await backend.upload(weight);
  const coded = await encodeMinifloat(backend, handle, scheme as MinifloatScheme);
  backend.free(handle);
  return coded;
}

async function valuesOf(coded: QuantizedTensor): Promise<Tensor> {
  if (coded.kind === 'affine') return affineValues(coded);
  if (coded.kind === 'float') return coded.tensor;
  const handle = await decodeTensor(coded, backend);
  const values = await backend.download(handle);
  backend.free(handle);
  return values;
}

interface Activation {
  readonly linear: string;
  readonly grid: ActivationGrid;
}

async function stored(schemes: Readonly<Record<string, TensorScheme>>, execution?: ExecutionPlan, found: readonly Activation[] = []) {
  const names = Object.keys(schemes).map((module) => `${module}.weight`);
  const source = memoryCheckpoint(new Map(names.map((name) => [name, tensor('bf16', SHAPE)])), { num_hidden_layers: 1 });
  const input = { ...formatInput(source, names), ...(execution ? { execution } : {}) };
  const plan = Object.entries(schemes).map(
    ([module, scheme]): PlannedTensor => ({ name: `${module}.weight`, source: `${module}.weight`, shape: SHAPE, scheme }),
  );
  const folder = memoryFolder();
  const writer = await format.open(input, plan, folder, options, { backend });
  for (const planned of plan) await writer.write(planned, { rowStart: 0, value: await codesOf(planned.scheme) });
  for (const { linear, grid } of found) await writer.writeActivation?.({ linear }, grid);
  for (const part of ['key', 'value'] as const)
    if (execution?.keyValueCache)
      await writer.writeActivation?.({ block: 0, part }, { scheme: execution.keyValueCache.get(0)![part].scheme, scale: 0.25 });
  await writer.finish();
  const parts = [...folder.tensors()].map(([name, { dtype, shape }]) => [name, [dtype, shape]]);
  return { folder, parts: Object.fromEntries(parts), settings: JSON.parse(folder.text('config.json')).quantization_config };
}

async function reopened(folder: Awaited<ReturnType<typeof stored>>['folder']) {
  const checkpoint = await format.reader?.openFolder?.(writtenCheckpoint(folder), { backend });
  if (!checkpoint) throw new Error('not recognized');
  return checkpoint;
}

const inputs = (name: string, modules = [MODULE]): ExecutionPlan => ({
  activations: new Map(modules.map((module) => [`${module}.weight`, { scheme: parseActivationScheme(name) }])),
});

describe('layouts', () => {
  it.each([
    ['int8-channel-sym', 'int8-token', 'int-quantized', { weight: ['i8', [130, 260]], weight_scale: ['f32', [130, 1]] }],
    [
      'int8-tensor-asym',
      'int8-token-asym',
      'int-quantized',
      { weight: ['i8', [130, 260]], weight_scale: ['f32', [1]], weight_zero_point: ['i8', [1]] },
    ],
    ['fp8-channel', 'fp8-token', 'float-quantized', { weight: ['f8_e4m3', [130, 260]], weight_scale: ['f32', [130, 1]] }],
    ['fp8-tensor', undefined, 'naive-quantized', { weight: ['f8_e4m3', [130, 260]], weight_scale: ['f32', [1]] }],
    ['fp8-block', 'fp8-g130', 'float-quantized', { weight: ['f8_e4m3', [130, 260]], weight_scale: ['f32', [2, 3]] }],
    [
      'int4-g130-sym',
      'int8-token',
      'pack-quantized',
      { weight_packed: ['i32', [130, 33]], weight_scale: ['f32', [130, 2]], weight_shape: ['i64', [2]] },
    ],
  ])('%s with inputs %s is %s, and comes back with its values and its execution plan', async (scheme, activation, layout, expected) => {
    const grid = parseAffineScheme(scheme) ?? float(scheme);
    const execution = activation === undefined ? undefined : inputs(activation);
    const { folder, parts, settings } = await stored({ [MODULE]: grid }, execution);
    expect(parts).toEqual(Object.fromEntries(Object.entries(expected).map(([part, spec]) => [`${MODULE}.${part}`, spec])));
    expect(settings.format).toBe(layout);
    const checkpoint = await reopened(folder);
    const values = await valuesOf(await codesOf(grid));
    expect(Buffer.from(((await checkpoint.read(`${MODULE}.weight`)).data as Float32Array).buffer)).toEqual(
      Buffer.from((values.data as Float32Array).buffer),
    );
    const range = await checkpoint.read(`${MODULE}.weight`, { start: 126, end: 130 });
    expect([...range.data]).toEqual([...values.data.subarray(126 * 260)]);
    expect(checkpoint.execution).toEqual(execution);
    expect(checkpoint.tensors.get(`${MODULE}.weight`)?.coded?.scheme).toEqual(grid);
  });
});

describe('the config', () => {
  it('has the arguments of the presets FP8_DYNAMIC and FP8_BLOCK', async () => {
    const dynamic = (await stored({ [MODULE]: float('fp8-channel') }, inputs('fp8-token'))).settings.config_groups.group_0;
    expect(dynamic.weights).toEqual({ num_bits: 8, type: 'float', symmetric: true, strategy: 'channel', group_size: null, dynamic: false });
    expect(dynamic.input_activations).toEqual({
      num_bits: 8,
      type: 'float',
      symmetric: true,
      strategy: 'token',
      group_size: null,
      dynamic: true,
    });
    const block = (await stored({ [MODULE]: float('fp8-block') }, inputs('fp8-g128'))).settings.config_groups.group_0;
    expect(block.weights).toMatchObject({ strategy: 'block', block_structure: [128, 128] });
    expect(block.input_activations).toMatchObject({ strategy: 'group', group_size: 128, dynamic: true });
  });

  it('says the layout of packed integers whose inputs are quantized, which the library would take for whole ones', async () => {
    const groupOf = async (scheme: string, activation?: string) =>
      (await stored({ [MODULE]: affine(scheme) }, activation ? inputs(activation) : undefined)).settings.config_groups.group_0;
    expect((await groupOf('int4-g130-sym', 'int8-token')).format).toBe('pack-quantized');
    expect((await groupOf('int4-channel-sym', 'fp8-token')).format).toBe('pack-quantized');
    expect(await groupOf('int4-g130-sym')).not.toHaveProperty('format');
    expect(await groupOf('int8-channel-sym', 'int8-token')).not.toHaveProperty('format');
  });

  it('is mixed-precision where layouts differ, each group with its own', async () => {
    const schemes = { [MODULE]: affine('int4-g130-sym'), [OTHER]: float('fp8-channel') };
    const { folder, settings } = await stored(schemes, inputs('fp8-token', [OTHER]));
    expect(settings.format).toBe('mixed-precision');
    expect(Object.values(settings.config_groups as Record<string, any>).map(({ format, targets }) => [format, targets])).toEqual([
      ['pack-quantized', [MODULE]],
      ['float-quantized', [OTHER]],
    ]);
    const checkpoint = await reopened(folder);
    for (const [module, scheme] of Object.entries(schemes))
      expect((await checkpoint.read(`${module}.weight`)).data).toEqual((await valuesOf(await codesOf(scheme))).data);
    expect([...(checkpoint.execution?.activations.keys() ?? [])]).toEqual([`${OTHER}.weight`]);
  });
});

describe('static grids', () => {
  it('of inputs are input_scale and input_zero_point', async () => {
    const scheme = parseActivationScheme('int8-tensor-asym-static');
    const grid = { scheme, scale: 0.03125, zeroPoint: 100 };
    const { folder, parts } = await stored({ [MODULE]: affine('int8-channel-sym') }, inputs('int8-tensor-asym-static'), [
      { linear: `${MODULE}.weight`, grid },
    ]);
    expect(parts).toMatchObject({ [`${MODULE}.input_scale`]: ['f32', [1]], [`${MODULE}.input_zero_point`]: ['i8', [1]] });
    expect([...folder.tensors().get(`${MODULE}.input_zero_point`)!.data]).toEqual([-28]);
    const checkpoint = await reopened(folder);
    expect(checkpoint.execution?.activations.get(`${MODULE}.weight`)).toEqual(grid);
    expect([...checkpoint.tensors.keys()]).toEqual([`${MODULE}.weight`]);
  });

  it('of cached keys and values are k_scale and v_scale', async () => {
    const scheme = parseActivationScheme('fp8-tensor-static');
    const execution = { activations: new Map(), keyValueCache: new Map([[0, { key: { scheme }, value: { scheme } }]]) };
    const { folder, parts, settings } = await stored({ [MODULE]: float('fp8-channel') }, execution);
    expect(parts).toMatchObject({
      'model.layers.0.self_attn.k_scale': ['f32', [1]],
      'model.layers.0.self_attn.v_scale': ['f32', [1]],
    });
    expect(settings.kv_cache_scheme).toEqual({
      num_bits: 8,
      type: 'float',
      symmetric: true,
      strategy: 'tensor',
      group_size: null,
      dynamic: false,
    });
    const cache = (await reopened(folder)).execution?.keyValueCache;
    expect(cache?.get(0)).toEqual({ key: { scheme, scale: 0.25 }, value: { scheme, scale: 0.25 } });
  });

  it('whose scale never came are refused', async () => {
    await expect(stored({ [MODULE]: float('fp8-channel') }, inputs('fp8-tensor-static'))).rejects.toThrow(
      /1 activations are static, and no scale came for them, such as .*q_proj\.input/,
    );
  });
});
