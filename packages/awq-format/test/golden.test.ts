import { awqFormat } from '@calibrant/awq-format';
import {
  type AffineScheme,
  type AffineTensor,
  affineValues,
  createReferenceBackend,
  type PlannedTensor,
  parseAffineScheme,
  parseOptions,
  type Tensor,
  type TensorScheme,
  tensor,
} from '@calibrant/core';
import { formatInput, memoryCheckpoint, memoryFolder, randomLayer } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const format = awqFormat();
const backend = createReferenceBackend();
const MODULE = 'model.layers.0.mlp.up_proj';
const options = parseOptions(format.options, {}, 'format');
const grid = (name: string) => parseAffineScheme(name) as AffineScheme;

async function stored(layers: Readonly<Record<string, AffineTensor | readonly number[]>>) {
  const shapeOf = (layer: AffineTensor | readonly number[]) => ('kind' in layer ? layer.shape : layer);
  const names = Object.keys(layers);
  const tensors = new Map(names.map((name) => [name, tensor('f16', shapeOf(layers[name]))]));
  const input = formatInput(memoryCheckpoint(tensors, { torch_dtype: 'float16' }), names);
  const plan = names.map((name): PlannedTensor => {
    const layer = layers[name];
    const scheme: TensorScheme = 'kind' in layer ? layer.scheme : { kind: 'float', dtype: 'f16' };
    return { name, source: name, shape: shapeOf(layer), scheme };
  });
  const folder = memoryFolder();
  const warnings: string[] = [];
  const onEvent = (event: object) => void ('warning' in event && warnings.push(String(event.warning)));
  const writer = await format.open(input, plan, folder, options, { backend, onEvent });
  for (const planned of plan) {
    const layer = layers[planned.name];
    if ('kind' in layer) await writer.write(planned, { rowStart: 0, value: layer });
    else if (planned.scheme.kind === 'float')
      await writer.write(planned, {
        rowStart: 0,
        value: { kind: 'float', scheme: planned.scheme, shape: layer, tensor: tensor('f16', layer) },
      });
  }
  await writer.finish();
  const part = (suffix: string) => folder.tensors().get(`${MODULE}.${suffix}`) as Tensor;
  return { folder, part, warnings, settings: JSON.parse(folder.text('config.json')).quantization_config };
}

const hex = (word: number | bigint) => (Number(word) >>> 0).toString(16);

describe("AWQ's GEMM layout", () => {
  it('puts outputs 0 … 7 with the codes 0 … 7 into the word 75316420', async () => {
    const layer = randomLayer(grid('int4-g32-asym'), [16, 64]);
    const counted = { ...layer, codes: layer.codes.map((_, i) => Math.floor(i / 64) % 8) };
    expect(new Set([...(await stored({ [`${MODULE}.weight`]: counted })).part('qweight').data].map(hex))).toEqual(new Set(['75316420']));
  });

  it('has its tensors with their types and shapes, and zero points of 8 on symmetric grids', async () => {
    const { folder, part, settings } = await stored({ [`${MODULE}.weight`]: randomLayer(grid('int4-g32-sym'), [16, 64]) });
    const found = [...folder.tensors()].map(([name, { dtype, shape }]) => [name.slice(MODULE.length + 1), [dtype, shape]]);
    expect(Object.fromEntries(found)).toEqual({
      qweight: ['i32', [64, 2]],
      qzeros: ['i32', [2, 2]],
      scales: ['f16', [2, 16]],
    });
    expect([...part('qzeros').data].map(hex)).toEqual(new Array(4).fill('88888888'));
    expect(settings).toEqual({
      quant_method: 'awq',
      bits: 4,
      group_size: 32,
      zero_point: true,
      version: 'gemm',
      modules_to_not_convert: null,
    });
    expect(JSON.parse(folder.text('quant_config.json'))).toEqual({
      zero_point: true,
      q_group_size: 32,
      w_bit: 4,
      version: 'GEMM',
      modules_to_not_convert: null,
    });
  });

  it('lists what stays unquantized, but not names that the name of a quantized module contains', async () => {
    const { settings, warnings } = await stored({
      'model.layers.0.mlp.gate_proj.weight': randomLayer(grid('int4-g32-sym'), [16, 64]),
      'model.layers.0.mlp.gate.weight': [8, 64],
      'model.layers.0.mlp.down_proj.weight': [64, 64],
    });
    expect(settings.modules_to_not_convert).toEqual(['model.layers.0.mlp.down_proj']);
    expect(warnings).toEqual([expect.stringMatching(/^model\.layers\.0\.mlp\.gate stays unquantized but cannot be listed/)]);
  });
});

describe('what AWQ files cannot hold', () => {
  const layer = randomLayer(grid('int4-g32-sym'), [16, 64]);

  it('is refused with the reason and the remedy', async () => {
    const other = { 'model.layers.0.mlp.gate_proj.weight': randomLayer(grid('int4-g16-sym'), [16, 64]) };
    await expect(stored({ [`${MODULE}.weight`]: layer, ...other })).rejects.toThrow(/one group size for all layers: .*g32.*g16/);
    const ordered = { ...layer, groupIndex: Int32Array.from({ length: 64 }, (_, i) => i % 2) };
    await expect(stored({ [`${MODULE}.weight`]: ordered })).rejects.toThrow(/act-order.*no place/);
    await expect(stored({ 'lm_head.weight': layer })).rejects.toThrow(/output projection/);
    await expect(stored({ [`${MODULE}.weight`]: randomLayer(grid('int4-g32-sym'), [12, 64]) })).rejects.toThrow(/12 outputs, and AWQ/);
  });
});

describe('reading', () => {
  const layer = randomLayer(grid('int4-g32-asym'), [16, 64]);
  const reopened = async (change: (tensors: Map<string, Tensor>, config: Record<string, any>) => void, texts = {}) => {
    const { folder } = await stored({ [`${MODULE}.weight`]: layer });
    const [tensors, config] = [folder.tensors(), JSON.parse(folder.text('config.json'))];
    change(tensors, config);
    return format.reader?.openFolder?.(memoryCheckpoint(tensors, config, texts), { backend });
  };

  it("takes AutoAWQ's own file of settings", async () => {
    const texts = { 'quant_config.json': JSON.stringify({ zero_point: true, q_group_size: 32, w_bit: 4, version: 'GEMM' }) };
    const checkpoint = await reopened((_, config) => delete config.quantization_config, texts);
    expect(await checkpoint?.read(`${MODULE}.weight`)).toEqual(affineValues(layer));
  });

  it('takes files without zero points as symmetric', async () => {
    const checkpoint = await reopened((tensors) => tensors.delete(`${MODULE}.qzeros`));
    const zeroPoints = tensor('u8', [16, 2], new Uint8Array(32).fill(8));
    expect(await checkpoint?.read(`${MODULE}.weight`)).toEqual(affineValues({ ...layer, zeroPoints }));
    expect(checkpoint?.tensors.get(`${MODULE}.weight`)?.coded?.scheme).toMatchObject({ symmetric: true, groupSize: 32 });
  });

  it('names other layouts and what is damaged', async () => {
    await expect(reopened((_, config) => Object.assign(config.quantization_config, { version: 'gemv' }))).rejects.toThrow(/layout "gemv"/);
    await expect(reopened((tensors) => tensors.delete(`${MODULE}.scales`))).rejects.toThrow(/up_proj is not an AWQ .*: qweight and scales/);
    await expect(reopened((tensors) => tensors.set(`${MODULE}.qzeros`, tensor('i32', [2, 3])))).rejects.toThrow(/qzeros i32 \[2, 3\]/);
    await expect(reopened((_, config) => Object.assign(config.quantization_config, { group_size: 128 }))).rejects.toThrow(
      /groups of 128, and 64 inputs with 2 groups make groups of 32/,
    );
  });
});
