import { compressedTensors } from '@calibrant/compressed-tensors';
import {
  type AffineScheme,
  type AffineTensor,
  affineSchemeName,
  affineValues,
  createReferenceBackend,
  type PlannedTensor,
  parseAffineScheme,
  rows,
  type Tensor,
  tensor,
  toDtype,
  toF32,
} from '@calibrant/core';
import {
  codedRows,
  formatInput,
  type MemoryFolder,
  memoryCheckpoint,
  memoryFolder,
  parseSafetensors,
  randomLayer,
  writtenCheckpoint,
} from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const format = compressedTensors();
const backend = createReferenceBackend();
const defaults = { scaleDtype: 'auto', dtype: 'auto', maxShardBytes: 5e9 } as const;
const NAME = 'model.layers.0.mlp.up_proj';

const named = (name: string) => parseAffineScheme(name) as AffineScheme;
const source = (shape: readonly number[], dtype: 'bf16' | 'f16' | 'f32' = 'bf16') => tensor(dtype, shape);
const config = (folder: MemoryFolder, file = 'config.json') => JSON.parse(new TextDecoder().decode(folder.files.get(file)));

async function writeLayer(
  layer: AffineTensor,
  options: object = {},
  dtype: 'bf16' | 'f16' | 'f32' = 'bf16',
  cuts: number[] = [],
): Promise<MemoryFolder> {
  const checkpoint = memoryCheckpoint(new Map([[`${NAME}.weight`, source(layer.shape, dtype)]]), { torch_dtype: 'bfloat16' });
  const folder = memoryFolder();
  const planned: PlannedTensor = { name: `${NAME}.weight`, source: `${NAME}.weight`, shape: layer.shape, scheme: layer.scheme };
  const writer = await format.open(formatInput(checkpoint, [planned.name]), [planned], folder, { ...defaults, ...options }, { backend });
  const ends = [...cuts, layer.shape[0]];
  for (const [i, end] of ends.entries()) {
    const start = i === 0 ? 0 : ends[i - 1];
    await writer.write(planned, { rowStart: start, value: codedRows(layer, start, end) });
  }
  expect(await writer.finish()).toEqual(['model.safetensors']);
  return folder;
}

const open = async (folder: MemoryFolder) => {
  const checkpoint = await format.reader?.openFolder?.(writtenCheckpoint(folder), { backend });
  if (!checkpoint) throw new Error('the reader did not recognize the folder');
  return checkpoint;
};

const SCHEMES = [2, 3, 4, 5, 8].flatMap((bits) =>
  ['tensor', 'channel', 'g16'].flatMap((granularity) => ['sym', 'asym'].map((symmetry) => `int${bits}-${granularity}-${symmetry}`)),
);

describe.each(SCHEMES)('%s', (name) => {
  const scheme = named(name);
  const layer = randomLayer(scheme, [10, 48]);

  it('reads back the values of codes and zero points with the scales as they are stored', async () => {
    for (const dtype of ['bf16', 'f32'] as const) {
      const checkpoint = await open(await writeLayer(layer, {}, dtype));
      const stored = { ...layer, scales: tensor('f32', layer.scales.shape, toF32(toDtype(layer.scales, dtype))) };
      const expected = affineValues(stored);
      expect(checkpoint.tensors.get(`${NAME}.weight`)).toMatchObject({
        dtype: 'f32',
        shape: [10, 48],
        storage: `pack-quantized int${scheme.bits}`,
      });
      expect(await checkpoint.read(`${NAME}.weight`)).toEqual(expected);
      expect(await checkpoint.read(`${NAME}.weight`, { start: 3, end: 7 })).toEqual({
        ...rows(expected, 3, 7),
        data: rows(expected, 3, 7).data.slice(),
      });
    }
  });

  it('has the tensors of pack-quantized with their types and shapes', async () => {
    const folder = await writeLayer(layer);
    const tensors = parseSafetensors(folder.files.get('model.safetensors') as Uint8Array);
    const groups = { tensor: 1, channel: 1, group: 3 }[scheme.granularity];
    const tensorwise = scheme.granularity === 'tensor';
    const found = Object.fromEntries([...tensors].map(([key, { dtype, shape }]) => [key.slice(NAME.length + 1), [dtype, shape]]));
    expect(found).toEqual({
      weight_packed: ['i32', [10, Math.ceil((48 * scheme.bits) / 32)]],
      weight_scale: ['bf16', tensorwise ? [1] : [10, groups]],
      weight_shape: ['i64', [2]],
      ...(scheme.symmetric ? {} : { weight_zero_point: tensorwise ? ['i8', [1]] : ['i32', [Math.ceil((10 * scheme.bits) / 32), groups]] }),
    });
    expect([...(tensors.get(`${NAME}.weight_shape`) as Tensor).data]).toEqual([10n, 48n]);
  });

  it('writes the same bytes when the rows come in pieces', async () => {
    expect((await writeLayer(layer, {}, 'bf16', [1, 5])).files).toEqual((await writeLayer(layer)).files);
  });

  it('says in the config what is stored', async () => {
    const { quantization_config: quantization } = config(await writeLayer(layer));
    expect(quantization).toEqual({
      quant_method: 'compressed-tensors',
      format: 'pack-quantized',
      quantization_status: 'compressed',
      config_groups: {
        group_0: {
          targets: ['Linear'],
          weights: {
            num_bits: scheme.bits,
            type: 'int',
            symmetric: scheme.symmetric,
            strategy: scheme.granularity,
            group_size: scheme.groupSize ?? null,
            dynamic: false,
          },
          input_activations: null,
          output_activations: null,
        },
      },
      ignore: ['lm_head'],
      kv_cache_scheme: null,
      global_compression_ratio: null,
    });
    expect(affineSchemeName(scheme)).toBe(name);
  });
});

describe('scales', () => {
  const layer = randomLayer(named('int4-channel'), [8, 32]);
  const stored = async (folder: MemoryFolder) =>
    parseSafetensors(folder.files.get('model.safetensors') as Uint8Array).get(`${NAME}.weight_scale`);

  it('have the type of the source tensor, or the wanted one', async () => {
    expect((await stored(await writeLayer(layer)))?.dtype).toBe('bf16');
    expect((await stored(await writeLayer(layer, {}, 'f16')))?.dtype).toBe('f16');
    expect((await stored(await writeLayer(layer, { scaleDtype: 'f32' })))?.data).toEqual(layer.scales.data);
  });

  it('beyond the range of their type are refused with a remedy', async () => {
    const huge = { ...layer, scales: tensor('f32', [8, 1], new Float32Array(8).fill(7e4)) };
    await expect(writeLayer(huge, { scaleDtype: 'f16' })).rejects.toThrow(
      /scale 70000 of model\.layers\.0\.mlp\.up_proj\.weight is beyond the range of f16.*bf16/,
    );
  });
});

describe('groups that are not contiguous', () => {
  it('are stored as weight_g_idx, announced in the config, and read back', async () => {
    for (const columns of [48, 33]) {
      const scheme = named(columns === 48 ? 'int4-g16-asym' : 'int4-g11-asym');
      const groups = columns / (scheme.groupSize as number);
      const groupIndex = Int32Array.from({ length: columns }, (_, c) => (c * 7) % groups);
      const layer = { ...randomLayer(scheme, [9, columns]), groupIndex };
      const folder = await writeLayer(layer, { scaleDtype: 'f32' });
      const tensors = parseSafetensors(folder.files.get('model.safetensors') as Uint8Array);
      expect(tensors.get(`${NAME}.weight_g_idx`)).toEqual({ dtype: 'i32', shape: [columns], data: groupIndex });
      expect(config(folder).quantization_config.config_groups.group_0.weights.actorder).toBe('group');
      expect(await (await open(folder)).read(`${NAME}.weight`)).toEqual(affineValues(layer));
    }
  });
});
