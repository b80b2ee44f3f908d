import { compressedTensors } from '@calibrant/compressed-tensors';
import {
  type AffineScheme,
  createReferenceBackend,
  type FormatWriter,
  type PlannedTensor,
  parseAffineScheme,
  type Tensor,
  tensor,
  toDtype,
} from '@calibrant/core';
import { formatInput, type MemoryFolder, memoryCheckpoint, memoryFolder, parseSafetensors, writtenCheckpoint } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const format = compressedTensors();
const backend = createReferenceBackend();
const defaults = { scaleDtype: 'auto', dtype: 'auto', maxShardBytes: 5e9 } as const;
const int4 = parseAffineScheme('int4-g16') as AffineScheme;
const int8 = parseAffineScheme('int8-channel') as AffineScheme;
const q = 'model.layers.0.self_attn.q_proj.weight';
const k = 'model.layers.0.self_attn.k_proj.weight';
const gate = 'model.layers.0.mlp.gate.weight';

const tensors = new Map<string, Tensor>([
  [
    'model.embed_tokens.weight',
    tensor(
      'bf16',
      [6, 32],
      Uint16Array.from({ length: 192 }, (_, i) => i),
    ),
  ],
  [q, tensor('bf16', [4, 32])],
  [k, tensor('bf16', [2, 32])],
  [gate, tensor('f32', [3, 32], new Float32Array(96).fill(2))],
  ['model.norm.weight', tensor('f32', [5], Float32Array.of(1, 2, 3, 4, 5))],
  ['model.steps', tensor('i64', [3], BigInt64Array.of(1n, 2n, 3n))],
]);
const texts = {
  'tokenizer.json': '{"a":1}',
  'generation_config.json': '{}',
  'chat_template.jinja': 'hi',
  'README.md': '#',
  'perplexity.json': '{}',
};
const plain = memoryCheckpoint(
  tensors,
  { model_type: 'llama', torch_dtype: 'bfloat16', quantization_config: { quant_method: 'old' } },
  texts,
);
/** No text in any encoding. */
const binary: Record<string, Uint8Array> = { 'tokenizer.model': Uint8Array.of(0x0a, 0xff, 0), 'optimizer.bin': Uint8Array.of(0xff) };
const source = { ...plain, files: [...plain.files, ...Object.keys(binary)], bytes: async (file: string) => binary[file] };
const input = formatInput(source, [q, k]);
const text = ({ files }: MemoryFolder, name: string) => new TextDecoder().decode(files.get(name));

async function planOf(schemes: Record<string, AffineScheme>, options: object = {}): Promise<PlannedTensor[]> {
  const outputs = await format.outputs(input, defaults);
  return outputs.map((output) => ({
    ...output,
    scheme: schemes[output.name] ?? format.floatScheme(output, input.facts, { ...defaults, ...options }),
  }));
}

async function writeAll(writer: FormatWriter, plan: readonly PlannedTensor[]): Promise<void> {
  for (const planned of plan) {
    const { scheme, shape } = planned;
    if (scheme.kind === 'float')
      await writer.write(planned, {
        rowStart: 0,
        value: { kind: 'float', scheme, shape, tensor: toDtype(tensors.get(planned.name) as Tensor, scheme.dtype) },
      });
    if (scheme.kind !== 'affine') continue;
    const groups = scheme.granularity === 'group' ? shape[1] / (scheme.groupSize as number) : 1;
    const value = {
      kind: 'affine' as const,
      scheme,
      shape,
      codes: new Uint8Array(shape[0] * shape[1]).fill(5),
      scales: tensor('f32', [shape[0], groups], new Float32Array(shape[0] * groups).fill(0.5)),
      zeroPoints: tensor('u8', [shape[0], groups], new Uint8Array(shape[0] * groups).fill(2 ** (scheme.bits - 1))),
    };
    await writer.write(planned, { rowStart: 0, value });
  }
}

async function written(schemes: Record<string, AffineScheme>, options: object = {}): Promise<MemoryFolder> {
  const folder = memoryFolder();
  const plan = await planOf(schemes, options);
  const writer = await format.open(input, plan, folder, { ...defaults, ...options }, { backend });
  await writeAll(writer, plan);
  await writer.finish();
  return folder;
}

describe('a written folder', () => {
  it('copies tensors that are not quantized in their own types, those without a float type too', async () => {
    const found = parseSafetensors((await written({ [q]: int4, [k]: int4 })).files.get('model.safetensors') as Uint8Array);
    for (const name of ['model.embed_tokens.weight', gate, 'model.norm.weight', 'model.steps'])
      expect(found.get(name)).toEqual(tensors.get(name));
    expect(found.has(q)).toBe(false);
  });

  it('names every linear layer that stays as it is in `ignore`, and the output projection also when it is tied', async () => {
    const config = JSON.parse(text(await written({ [q]: int4 }), 'config.json'));
    expect(config.quantization_config.ignore).toEqual(['lm_head', 'model.layers.0.mlp.gate', 'model.layers.0.self_attn.k_proj']);
    expect(config).toMatchObject({ model_type: 'llama', torch_dtype: 'bfloat16' });
  });

  it('lists layers by name when they are on different grids, and each is read back on its own', async () => {
    const folder = await written({ [q]: int4, [k]: int8 });
    const groups = JSON.parse(text(folder, 'config.json')).quantization_config.config_groups;
    expect(Object.values(groups).map((group) => (group as { targets: string[] }).targets)).toEqual([
      ['model.layers.0.self_attn.q_proj'],
      ['model.layers.0.self_attn.k_proj'],
    ]);
    const checkpoint = await format.reader?.openFolder?.(writtenCheckpoint(folder), { backend });
    expect((await checkpoint?.read(q))?.data[0]).toBe((5 - 8) * 0.5);
    expect((await checkpoint?.read(k))?.data[0]).toBe((5 - 128) * 0.5);
    expect(checkpoint?.config).not.toHaveProperty('quantization_config');
    expect([...(checkpoint?.tensors.keys() ?? [])].sort()).toEqual([...tensors.keys()].sort());
  });

  it('has tokenizer, chat template and generation settings of the source, and the recipe', async () => {
    const folder = await written({ [q]: int4, [k]: int4 });
    expect([...folder.files.keys()].sort()).toEqual([
      'calibrant.json',
      'chat_template.jinja',
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer.model',
    ]);
    expect(folder.files.get('tokenizer.model')).toEqual(binary['tokenizer.model']);
    expect(text(folder, 'tokenizer.json')).toBe('{"a":1}');
    expect(JSON.parse(text(folder, 'calibrant.json'))).toEqual({ recipe: input.recipe });
  });

  it('is a plain safetensors folder when nothing is quantized', async () => {
    const folder = await written({});
    expect(JSON.parse(text(folder, 'config.json'))).toEqual({ model_type: 'llama', torch_dtype: 'bfloat16' });
    const found = parseSafetensors(folder.files.get('model.safetensors') as Uint8Array);
    expect([...found.keys()].sort()).toEqual([...tensors.keys()].sort());
    expect(await format.reader?.openFolder?.(writtenCheckpoint(folder), { backend })).toBeUndefined();
  });

  it('is split into files by size with an index, a layer in one piece', async () => {
    const folder = await written({ [q]: int4, [k]: int4 }, { maxShardBytes: 400 });
    const index = JSON.parse(text(folder, 'model.safetensors.index.json'));
    const files = [...folder.files.keys()].filter((name) => name.endsWith('.safetensors'));
    expect(files.length).toBeGreaterThan(2);
    expect(files[0]).toBe(`model-00001-of-0000${files.length}.safetensors`);
    let total = 0;
    for (const file of files)
      for (const [name, { data }] of parseSafetensors(folder.files.get(file) as Uint8Array)) {
        expect(index.weight_map[name]).toBe(file);
        total += data.byteLength;
      }
    expect(index.metadata.total_size).toBe(total);
    expect(new Set(['weight_packed', 'weight_scale', 'weight_shape'].map((part) => index.weight_map[q.replace('weight', part)])).size).toBe(
      1,
    );
  });
});

describe('options', () => {
  it('dtype sets the type of unquantized tensors, and the type that the config names', async () => {
    const folder = await written({ [q]: int4 }, { dtype: 'f16' });
    const found = parseSafetensors(folder.files.get('model.safetensors') as Uint8Array);
    expect(['model.embed_tokens.weight', gate, 'model.norm.weight', k].map((name) => found.get(name)?.dtype)).toEqual(
      new Array(4).fill('f16'),
    );
    expect(found.get('model.steps')?.dtype).toBe('i64');
    expect(JSON.parse(text(folder, 'config.json')).torch_dtype).toBe('float16');
  });
});

describe('what cannot be stored', () => {
  it('is refused with the reason and the remedy', async () => {
    const open = async (schemes: Record<string, AffineScheme>) =>
      format.open(input, await planOf(schemes), memoryFolder(), defaults, { backend });
    await expect(open({ 'model.embed_tokens.weight': int8 })).rejects.toThrow(
      /model\.embed_tokens\.weight \[6, 32\] is none.*recipe\.keep/,
    );
    await expect(open({ [q]: { ...int4, groupSize: 24 } })).rejects.toThrow(
      /group size 24 does not divide the 32 inputs of .*q_proj\.weight/,
    );
    const block = { kind: 'block', type: 'q4_K' } as Parameters<typeof format.accepts>[0];
    expect(format.accepts(block)).toMatch(/not q4_K blocks/);
    expect([format.accepts(int4), format.accepts({ kind: 'float', dtype: 'bf16' })]).toEqual([true, true]);
  });

  it('includes a plan that was not written to its end', async () => {
    const plan = await planOf({ [q]: int4 });
    const writer = await format.open(input, plan, memoryFolder(), defaults, { backend });
    await writeAll(writer, plan.slice(1));
    await expect(writer.finish()).rejects.toThrow(/6 rows of the tensor model\.embed_tokens\.weight were not written/);
    await writer.abort();
  });
});

describe('reading', () => {
  const reopen = async (change: (tensors: Map<string, Tensor>, quantization: Record<string, any>) => void) => {
    const folder = await written({ [q]: int4, [k]: int4 });
    const found = parseSafetensors(folder.files.get('model.safetensors') as Uint8Array);
    const config = JSON.parse(text(folder, 'config.json'));
    change(found, config.quantization_config);
    return format.reader?.openFolder?.(memoryCheckpoint(found, config), { backend });
  };
  const part = (suffix: string) => q.replace('weight', suffix);

  it('leaves other checkpoints to others, and refuses other layouts of compressed-tensors by name', async () => {
    expect(await format.reader?.openFolder?.(source, { backend })).toBeUndefined();
    await expect(reopen((_, quantization) => Object.assign(quantization, { format: 'marlin-24' }))).rejects.toThrow(
      /in the format "marlin-24"; pack-quantized, int-quantized, .* can be read/,
    );
    await expect(reopen((_, { config_groups }) => Object.assign(config_groups.group_0.weights, { strategy: 'block' }))).rejects.toThrow(
      /group_0 asks for/,
    );
  });

  it('matches layers by name before expressions before classes', async () => {
    const checkpoint = await reopen((_, quantization) => {
      const { group_0: group } = quantization.config_groups;
      const wrong = { ...group, weights: { ...group.weights, num_bits: 8 } };
      quantization.config_groups = {
        a: wrong,
        b: { ...wrong, targets: ['re:.*never.*'] },
        c: { ...group, targets: ['re:.*_proj$'] },
      };
    });
    expect(checkpoint?.tensors.get(q)?.storage).toBe('pack-quantized int4');
  });

  it('names the layer whose parts are missing or do not fit', async () => {
    await expect(reopen((found) => found.delete(part('weight_scale')))).rejects.toThrow(
      /q_proj is not a pack-quantized int4 layer: weight_packed, weight_scale/,
    );
    await expect(reopen((found) => found.set(part('weight_scale'), tensor('bf16', [4, 3])))).rejects.toThrow(
      /weight_scale must hold 8 values, found \[4, 3\]/,
    );
    await expect(reopen((found) => found.set(part('weight_packed'), tensor('i32', [4, 9])))).rejects.toThrow(
      /32 codes take 4 words a row, found 9/,
    );
    await expect(reopen((found) => found.set(part('weight_shape'), tensor('i64', [2], BigInt64Array.of(7n, 32n))))).rejects.toThrow(
      /7 rows/,
    );
    await expect(reopen((_, { config_groups }) => Object.assign(config_groups.group_0.weights, { symmetric: false }))).rejects.toThrow(
      /weight_zero_point is missing/,
    );
    await expect(reopen((_, quantization) => Object.assign(quantization, { config_groups: {} }))).rejects.toThrow(
      /no group .* covers model\.layers\.0/,
    );
  });
});
