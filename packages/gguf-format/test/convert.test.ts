import { createReferenceBackend, type Tensor, toF32 } from '@calibrant/core';
import { ggufFormat, layOut, openGgufCheckpoint, readGguf } from '@calibrant/gguf-format';
import { describe, expect, it } from '@jest/globals';
import { convert, factsOf, memoryCheckpoint } from './convert-model.js';
import { memoryFolder, memorySource } from './memory-files.js';
import { randomTensors, TINY } from './random-model.js';

const backend = createReferenceBackend();
const NO_TOKENIZER = { tokenizer: 'none' };
const LLAMA3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };

async function written(
  config: Record<string, unknown>,
  tensors: Map<string, Tensor>,
  format: Record<string, unknown> = {},
  scheme?: string,
) {
  const folder = memoryFolder();
  const source = memoryCheckpoint(config, tensors);
  const { plan } = await convert(source, folder, backend, { format: { ...NO_TOKENIZER, ...format }, ...(scheme ? { scheme } : {}) });
  const bytes = folder.files.get('model.gguf')?.bytes() ?? new Uint8Array();
  expect(folder.sizes.get('model.gguf')).toBe(bytes.length);
  return { plan, bytes, file: await readGguf(memorySource(bytes)) };
}

const outputsOf = (config: Record<string, unknown>, tensors: Map<string, Tensor>) => {
  const checkpoint = memoryCheckpoint(config, tensors);
  const format = ggufFormat();
  return format.outputs({ checkpoint, facts: factsOf(checkpoint), recipe: {} }, format.options.parse({}));
};

const families: [string, Record<string, unknown>, { bias?: boolean; headNorms?: boolean }][] = [
  ['llama', { ...TINY, model_type: 'llama', rope_theta: 10000 }, {}],
  ['llama with biases', { ...TINY, model_type: 'llama', rope_theta: 10000 }, { bias: true }],
  ['llama with Llama 3 rope scaling', { ...TINY, model_type: 'llama', rope_theta: 500000, rope_scaling: LLAMA3 }, {}],
  ['llama in the newer spelling of rope', { ...TINY, model_type: 'llama', rope_parameters: { ...LLAMA3, rope_theta: 500000 } }, {}],
  ['llama with linear rope scaling', { ...TINY, model_type: 'llama', rope_scaling: { type: 'linear', factor: 2.5 } }, {}],
  ['llama, tied', { ...TINY, model_type: 'llama', tie_word_embeddings: true }, {}],
  ['mistral with a sliding window', { ...TINY, model_type: 'mistral', sliding_window: 16, head_dim: 32 }, {}],
  ['qwen2', { ...TINY, model_type: 'qwen2', use_sliding_window: false, sliding_window: 16 }, { bias: true }],
  ['qwen3', { ...TINY, model_type: 'qwen3', head_dim: 32 }, { headNorms: true }],
  ['smollm3', { ...TINY, num_hidden_layers: 4, model_type: 'smollm3', rope_theta: 2000000, no_rope_layers: [1, 1, 1, 0] }, {}],
];

describe('a checkpoint that is written to F32 and read back', () => {
  it.each(families)('has the same tensors and sizes: %s', async (_family, config, kinds) => {
    const tensors = randomTensors(config, kinds);
    const { bytes } = await written(config, tensors);
    const again = await openGgufCheckpoint(memorySource(bytes), { backend });
    expect([...again.tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
    for (const [name, { shape, data }] of tensors) {
      const read = await again.read(name);
      expect(read.shape).toEqual(shape);
      expect(read.data).toEqual(data);
      if (shape.length === 2) expect((await again.read(name, { start: 5, end: 29 })).data).toEqual(data.slice(5 * shape[1], 29 * shape[1]));
    }
    expect(again.config).toMatchObject({
      ...TINY,
      ...JSON.parse(JSON.stringify(config, (key, value) => (key.includes('sliding') || key.includes('rope_') ? undefined : value))),
    });
    expect(again.config['head_dim']).toBe(config['head_dim'] ?? 16);
    expect(again.config['sliding_window']).toBe(config['model_type'] === 'mistral' ? 16 : undefined);
    const scaling = (config['rope_scaling'] ?? config['rope_parameters']) as Record<string, unknown> | undefined;
    expect(again.config['rope_theta']).toBe(scaling?.['rope_theta'] ?? config['rope_theta'] ?? 10000);
    const type = scaling?.['rope_type'] ?? scaling?.['type'];
    if (type === 'llama3') expect(again.config['rope_scaling']).toEqual(LLAMA3);
    else expect(again.config['rope_scaling'] ?? null).toEqual(type ? { rope_type: type, factor: 2.5 } : null);
    expect(JSON.parse((await again.text('config.json')) ?? '')).toEqual(again.config);
  });
});

describe('the tensors of a GGUF file', () => {
  const config = { ...TINY, model_type: 'llama' };

  it("stand in llama-quantize's order under llama.cpp's names", async () => {
    const names = (await outputsOf({ ...config, rope_scaling: LLAMA3 }, randomTensors(config))).map(({ name }) => name);
    const block = ['attn_k', 'attn_norm', 'attn_output', 'attn_q', 'attn_v', 'ffn_down', 'ffn_gate', 'ffn_norm', 'ffn_up'];
    expect(names).toEqual([
      'output.weight',
      'output_norm.weight',
      'rope_freqs.weight',
      'token_embd.weight',
      ...[0, 1].flatMap((layer) => block.map((name) => `blk.${layer}.${name}.weight`)),
    ]);
  });

  it('interleave the halves of each head of q and k where llama.cpp rotates neighbouring pairs', async () => {
    const ordered = (await outputsOf(config, randomTensors(config))).filter(({ rowOrder }) => rowOrder);
    expect(new Set(ordered.map(({ name }) => name.replace(/blk\.\d\./, '')))).toEqual(new Set(['attn_q.weight', 'attn_k.weight']));
    expect(ordered[0].rowOrder).toEqual({ period: 16, order: [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15] });
    const qwen = { ...config, model_type: 'qwen2' };
    expect((await outputsOf(qwen, randomTensors(qwen, { bias: true }))).filter(({ rowOrder }) => rowOrder)).toEqual([]);
  });

  it('hold the factors of Llama 3: 1 for short wavelengths, the factor for long ones', async () => {
    const outputs = await outputsOf({ ...config, rope_theta: 500000, rope_scaling: LLAMA3 }, randomTensors(config));
    const factors = outputs.find(({ name }) => name === 'rope_freqs.weight')?.constant as Tensor;
    // Independently from the published rule, pair 1: wavelength 32.4, smooth (64 / 32.4 - 1) / 3.
    const smooth = (64 / (2 * Math.PI * 500000 ** (2 / 16)) - 1) / 3;
    expect(factors.shape).toEqual([8]);
    expect(factors.data[0]).toBe(1);
    expect(factors.data[1]).toBeCloseTo(1 / ((1 - smooth) / 8 + smooth), 5);
    expect(factors.data[7]).toBe(8);
  });

  it('leave out a head that is tied and tensors that are computed anew', async () => {
    const tensors = randomTensors(config);
    tensors.set('model.layers.0.self_attn.rotary_emb.inv_freq', tensors.get('model.norm.weight') as Tensor);
    const names = (await outputsOf({ ...config, tie_word_embeddings: true }, tensors)).map(({ name }) => name);
    expect(names).not.toContain('output.weight');
    expect(names).toHaveLength(20);
  });

  it('keep vectors in F32 and matrices in the type of the source unless told otherwise', async () => {
    const { file } = await written(config, randomTensors(config), { floatType: 'bf16' }, 'Q8_0');
    expect(file.tensors.get('blk.0.attn_norm.weight')?.type.name).toBe('F32');
    const format = ggufFormat();
    const tensors = new Map([['w', { name: 'w', dtype: 'f16', shape: [2, 2], bytes: 8, file: '' } as const]]);
    const facts = { config, architecture: 'llama', tensors, linears: new Set<string>() };
    const matrix = { name: 'blk.0.attn_q.weight', source: 'w', shape: [2, 2] };
    expect(format.floatScheme(matrix, facts, format.options.parse({}))).toEqual({ kind: 'float', dtype: 'f16' });
    expect(format.floatScheme(matrix, facts, format.options.parse({ floatType: 'bf16' }))).toEqual({ kind: 'float', dtype: 'bf16' });
    expect(format.floatScheme({ ...matrix, shape: [2] }, facts, format.options.parse({}))).toEqual({ kind: 'float', dtype: 'f32' });
  });

  it('carry the name, the parameter count and the file type', async () => {
    const { file } = await written(config, randomTensors(config), { name: 'Tiny' }, 'Q8_0');
    expect(file.metadata.get('general.name')?.value).toBe('Tiny');
    expect(file.metadata.get('general.size_label')?.value).toBe('100K');
    expect(file.metadata.get('general.file_type')?.value).toBe(7);
    expect([...file.metadata.keys()].slice(-2)).toEqual(['general.quantization_version', 'general.file_type']);
  });

  it('that are quantized read back as decoded f32 near the source', async () => {
    const tensors = randomTensors(config);
    const { bytes } = await written(config, tensors, {}, 'Q8_0');
    const again = await openGgufCheckpoint(memorySource(bytes), { backend });
    const name = 'model.layers.1.self_attn.q_proj.weight';
    expect(again.tensors.get(name)).toMatchObject({ dtype: 'f32', storage: 'Q8_0', bytes: (64 * 64 * 34) / 32 });
    const [read, source] = [await again.read(name), tensors.get(name) as Tensor];
    const error = Math.max(...toF32(read).map((value, i) => Math.abs(value - Number(source.data[i]))));
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.5 / 254 + 0.001);
    expect(backend.allocatedBytes()).toBe(0);
  });
});

describe('conversion refuses, saying what to do,', () => {
  const config = { ...TINY, model_type: 'llama' };
  const cohere = (more: Record<string, unknown>) => ({ ...TINY, model_type: 'cohere', layer_norm_eps: 1e-5, ...more });
  const gemma2 = (more: Record<string, unknown>) => ({ ...TINY, model_type: 'gemma2', head_dim: 16, tie_word_embeddings: true, ...more });
  const cases: [string, Record<string, unknown>, RegExp][] = [
    [
      'an unsupported architecture',
      { ...config, model_type: 'opt' },
      /no architecture for checkpoints of type "opt".*safetensors.*Supported model types: llama, mistral, mixtral, smollm3, qwen2/,
    ],
    [
      'an unknown rope scaling',
      { ...config, rope_scaling: { rope_type: 'ntk', factor: 4 } },
      /rope scaling .*ntk.* Supported: linear, llama3, yarn, longrope/,
    ],
    [
      'a passage of YaRN of its own',
      { ...config, rope_scaling: { rope_type: 'yarn', factor: 4, beta_fast: 16 } },
      /"beta_fast" .* is 16, but .* with 32/,
    ],
    [
      'factors of rotations where llama.cpp loads none',
      { ...config, model_type: 'qwen2', rope_scaling: LLAMA3 },
      /"llama3", but llama.cpp loads no factors of rotations for architecture qwen2/,
    ],
    [
      'biases of attention outputs where llama.cpp has none',
      { ...config, model_type: 'qwen3', attention_bias: true },
      /"attention_bias" in config.json is true/,
    ],
    [
      'windows that config.json turns on',
      { ...config, model_type: 'qwen2', use_sliding_window: true, sliding_window: 8, max_window_layers: 1 },
      /sliding window of 8 tokens .*, but llama.cpp attends to everything in qwen2 models/,
    ],
    ['Gemma 2 without caps', gemma2({ final_logit_softcapping: null }), /"final_logit_softcapping" in config.json is null/],
    ['a config without sizes', { ...config, intermediate_size: undefined }, /config.json must give "intermediate_size" as a number/],
    ['heads that do not fit', { ...config, head_dim: 24 }, /has 64 rows, which is no multiple of the head size 24/],
    ['LongRoPE without lists', { ...config, rope_scaling: { rope_type: 'longrope' } }, /LongRoPE needs "short_factor" and "long_factor"/],
    [
      'an activation that llama.cpp does not compute',
      { ...config, hidden_act: 'relu' },
      /"hidden_act" in config.json is "relu", but llama.cpp/,
    ],
    [
      'a head of its own where llama.cpp takes the embedding',
      cohere({ tie_word_embeddings: false }),
      /takes the head of architecture command-r/,
    ],
    [
      'norms of heads where llama.cpp has none',
      cohere({ tie_word_embeddings: true, use_qk_norm: true }),
      /at least 64 layers.* 2 layers and "use_qk_norm" is true/,
    ],
    ['scores scaled otherwise', gemma2({ query_pre_attn_scalar: 256 }), /scores of a Gemma with 2 layers by the root of 16, but .* is 256/],
    [
      'layers that slide elsewhere',
      gemma2({ query_pre_attn_scalar: 16, layer_types: ['full_attention', 'full_attention'] }),
      /every layer of this architecture but each 2. one .* otherwise for layer 0/,
    ],
    ['unrotated layers elsewhere', { ...config, model_type: 'smollm3', no_rope_layers: [0, 1] }, /every fourth layer of SmolLM3.* layer 0/],
  ];
  it.each(cases)('%s', async (_what, broken, message) => {
    await expect(outputsOf(broken, randomTensors(config))).rejects.toThrow(message);
  });

  it('a tensor without a place, one of a block too many and a missing head', async () => {
    const tensors = randomTensors(config);
    tensors.set('model.layers.0.mlp.experts.0.w1.weight', tensors.get('model.norm.weight') as Tensor);
    await expect(outputsOf(config, tensors)).rejects.toThrow(/"model.layers.0.mlp.experts.0.w1.weight" has no name in GGUF/);
    await expect(outputsOf({ ...config, num_hidden_layers: 1 }, randomTensors(config))).rejects.toThrow(
      /"model.layers.1.*" belongs to a block that config.json does not count \("num_hidden_layers": 1\)/,
    );
    const headless = randomTensors({ ...config, tie_word_embeddings: true });
    await expect(outputsOf(config, headless)).rejects.toThrow(/no tensor "lm_head.weight".*tie_word_embeddings/);
  });

  it('grids that GGUF has no type for', () => {
    const affine = { kind: 'affine', bits: 4, granularity: 'group', groupSize: 128, symmetric: true } as const;
    expect(ggufFormat().accepts(affine)).toMatch(/no type for integer grids.*Q4_K/);
    expect(ggufFormat().accepts({ kind: 'float', dtype: 'bf16' })).toBe(true);
  });
});

describe('reading refuses, naming file and tensor,', () => {
  const config = { ...TINY, model_type: 'llama' };

  it('an architecture, a tensor name and rows that are not there', async () => {
    const { bytes } = await written(config, randomTensors(config));
    const other = bytes.slice();
    other.set(Buffer.from('lucky'), Buffer.from(bytes).indexOf('llama'));
    await expect(openGgufCheckpoint(memorySource(other), { backend })).rejects.toThrow(
      /architecture "lucky" cannot be read.*Supported: llama/,
    );
    const checkpoint = await openGgufCheckpoint(memorySource(bytes), { backend });
    await expect(checkpoint.read('nothing')).rejects.toThrow(/holds no tensor "nothing"/);
    await expect(checkpoint.read('lm_head.weight', { start: 0, end: 301 })).rejects.toThrow(
      /rows 0 to 301 are outside tensor "output.weight" of 300 rows/,
    );
  });

  it('a size that no model has', async () => {
    const { bytes } = await written(config, randomTensors(config));
    const broken = bytes.slice();
    // Behind the key come four bytes of type, then the value.
    broken.set([255, 255, 255, 255], Buffer.from(bytes).indexOf('llama.block_count') + 17 + 4);
    await expect(openGgufCheckpoint(memorySource(broken), { backend })).rejects.toThrow(
      /"llama.block_count" must be a whole number from 1 to 21, found 4294967295/,
    );
  });

  it('one part of a model in several files', async () => {
    const part = layOut(new Map([['split.count', { type: 'u16', value: 3 } as const]]), []);
    await expect(openGgufCheckpoint(memorySource(part.header), { backend })).rejects.toThrow(
      /part 1 of 3 of a model, and the other parts cannot be reached from it/,
    );
  });

  it('a missing size', async () => {
    const { bytes } = await written(config, randomTensors(config));
    const broken = bytes.slice();
    broken.set(Buffer.from('blocks_'), Buffer.from(bytes).indexOf('llama.block_c') + 6);
    await expect(openGgufCheckpoint(memorySource(broken), { backend })).rejects.toThrow(/"llama.block_count" is missing/);
  });

  it('other files by leaving them to other readers', async () => {
    const open = ggufFormat().reader?.openFile;
    expect(await open?.(memorySource(new Uint8Array([80, 75, 3, 4])), { backend })).toBeUndefined();
    expect(await open?.(memorySource(new Uint8Array(2)), { backend })).toBeUndefined();
  });
});
