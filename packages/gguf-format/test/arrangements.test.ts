import { createReferenceBackend, type Tensor, tensor } from '@calibrant/core';
import { ggufFormat, openGgufCheckpoint, readGguf } from '@calibrant/gguf-format';
import { describe, expect, it } from '@jest/globals';
import { convert, factsOf, memoryCheckpoint } from './convert-model.js';
import { formulaModel } from './formula-model.js';
import { memoryFolder, memorySource } from './memory-files.js';
import { randomTensors, TINY } from './random-model.js';

const backend = createReferenceBackend();
type Config = Record<string, unknown>;

const outputsOf = async (config: Config, tensors: Map<string, Tensor>, options = {}, files: Record<string, string> = {}) => {
  const checkpoint = memoryCheckpoint(config, tensors, files);
  const format = ggufFormat();
  const outputs = await format.outputs(
    { checkpoint, facts: factsOf(checkpoint), recipe: {} },
    format.options.parse({ tokenizer: 'none', ...options }),
  );
  return new Map(outputs.map((output) => [output.name, output]));
};

async function formula(name: string, changes: Config = {}) {
  const { checkpoint } = formulaModel(name);
  const tensors = new Map<string, Tensor>();
  for (const key of checkpoint.tensors.keys()) tensors.set(key, await checkpoint.read(key));
  return { config: { ...checkpoint.config, ...changes }, tensors };
}

async function throughFile(config: Config, tensors: Map<string, Tensor>) {
  const folder = memoryFolder();
  await convert(memoryCheckpoint(config, tensors), folder, backend, { format: { tokenizer: 'none' } });
  const source = memorySource(folder.files.get('model.gguf')?.bytes() ?? new Uint8Array());
  return { file: await readGguf(source), checkpoint: await openGgufCheckpoint(source, { backend }) };
}

describe('the plan of a file', () => {
  it('stacks the experts of a layer in their order', async () => {
    const { config, tensors } = await formula('mixtral');
    const reversed = new Map([...tensors].reverse());
    const down = (await outputsOf(config, reversed)).get('blk.1.ffn_down_exps.weight');
    const experts = [0, 1, 2, 3].map((expert) => `model.layers.1.block_sparse_moe.experts.${expert}.w2.weight`);
    expect(down).toEqual({ name: 'blk.1.ffn_down_exps.weight', stacked: experts, shape: [4, 64, 160] });
  });

  it('transposes the matrices of GPT-2 and not its biases', async () => {
    const { config, tensors } = await formula('gpt2');
    const outputs = await outputsOf(config, tensors);
    expect(outputs.get('blk.0.attn_qkv.weight')).toMatchObject({ shape: [192, 64], transposed: true });
    expect(outputs.get('blk.0.attn_qkv.bias')).toEqual({
      name: 'blk.0.attn_qkv.bias',
      source: 'transformer.h.0.attn.c_attn.bias',
      shape: [192],
    });
  });

  it('takes names without the prefix that some checkpoints leave out, and passes over their masks', async () => {
    const { config, tensors } = await formula('gpt2');
    const bare = new Map([...tensors].map(([name, value]) => [name.replace('transformer.', ''), value]));
    bare.set('h.0.attn.bias', tensor('f32', [1], new Float32Array(1)));
    expect([...(await outputsOf(config, bare)).keys()]).toEqual([...(await outputsOf(config, tensors)).keys()]);
  });

  it('orders the fused rows of a group of heads: queries, keys, values', async () => {
    const { config, tensors } = await formula('falcon');
    const { rowOrder } = (await outputsOf(config, tensors)).get('blk.0.attn_qkv.weight') ?? {};
    expect(rowOrder?.period).toBe(128);
    // Two groups of two queries, a key and a value, of 16 rows each.
    const blocks = rowOrder?.order.filter((_, row) => row % 16 === 0).map((row) => row / 16);
    expect(blocks).toEqual([0, 1, 4, 5, 2, 6, 3, 7]);
  });

  it('adds one to the norms of Gemma', async () => {
    const { config, tensors } = await formula('gemma3');
    const added = [...(await outputsOf(config, tensors)).values()].filter(({ add }) => add === 1);
    expect(added.length).toBe(6 * 6 + 1);
    expect(added.every(({ name }) => name.endsWith('_norm.weight'))).toBe(true);
  });

  it('keeps as many rows of the embedding of Gemma 3 as its tokenizer has tokens', async () => {
    const { config, tensors } = await formula('gemma3');
    const tokenizer = {
      model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [], byte_fallback: true },
      added_tokens: [{ id: 2, content: 'c' }],
    };
    const files = { 'tokenizer.json': JSON.stringify(tokenizer) };
    const outputs = await outputsOf(config, tensors, { tokenizer: 'required' }, files);
    expect(outputs.get('token_embd.weight')?.shape).toEqual([3, 64]);
  });

  it.each([
    ['language_model.model.', 'vision_tower.patch.weight'],
    ['model.language_model.', 'model.vision_tower.patch.weight'],
  ])('holds the text model of a multimodal Gemma 3 alone: %s', async (prefix, image) => {
    const { config, tensors } = await formula('gemma3');
    const inside = new Map([...tensors].map(([name, value]) => [name.replace(/^model\./, prefix), value]));
    inside.set(image, tensor('f32', [1], new Float32Array(1)));
    const { model_type: _text, eos_token_id, ...text } = config;
    const multimodal = { model_type: 'gemma3', eos_token_id, text_config: text };
    const [expected, found] = [await throughFile(config, tensors), await throughFile(multimodal, inside)];
    expect(found.file.metadata).toEqual(expected.file.metadata);
    expect([...found.file.tensors.values()]).toEqual([...expected.file.tensors.values()]);
    expect(found.checkpoint.config).toEqual(expected.checkpoint.config);
    const name = 'model.layers.1.mlp.up_proj.weight';
    expect(await found.checkpoint.read(name)).toEqual(await expected.checkpoint.read(name));
    await expect(outputsOf({ model_type: 'gemma3' }, inside)).rejects.toThrow(/must describe its text model in "text_config"/);
  });

  it('gives runtimes that want a head the tied embedding again', async () => {
    const { config, tensors } = await formula('olmo2', { tie_word_embeddings: true });
    tensors.delete('lm_head.weight');
    expect((await outputsOf(config, tensors)).get('output.weight')).toEqual({
      name: 'output.weight',
      source: 'model.embed_tokens.weight',
      shape: [320, 64],
    });
  });

  it('refuses experts that are missing or of another shape, and heads that do not fit a fused projection', async () => {
    const { config, tensors } = await formula('mixtral');
    const name = 'model.layers.0.block_sparse_moe.experts.2.w1.weight';
    const odd = new Map(tensors).set(name, tensor('f32', [2, 2], new Float32Array(4)));
    await expect(outputsOf(config, odd)).rejects.toThrow(/experts.2.w1.weight" is missing, there twice or of another shape/);
    const gap = new Map(tensors);
    gap.delete(name);
    await expect(outputsOf(config, gap)).rejects.toThrow(/"blk.0.ffn_gate_exps.weight number 2" is missing/);
    const bloom = await formula('bloom', { n_head: 8, hidden_size: 128 });
    await expect(outputsOf(bloom.config, bloom.tensors)).rejects.toThrow(/has 192 rows, but 8 heads with 8 keys .* size 16 make 384/);
  });
});

describe('what travels beside the tensors', () => {
  it('LongRoPE: lists in tensors, the attention factor in a key', async () => {
    const factors = Array.from({ length: 8 }, (_, i) => 1 + i / 4);
    const scaling = { type: 'longrope', short_factor: factors.map((factor) => factor / 2), long_factor: factors };
    const changes = {
      rope_parameters: undefined,
      rope_scaling: scaling,
      max_position_embeddings: 512,
      original_max_position_embeddings: 128,
    };
    const { config, tensors } = await formula('phi3', changes);
    const { file, checkpoint } = await throughFile(config, tensors);
    expect(file.tensors.get('rope_factors_long.weight')?.shape).toEqual([8]);
    // √(1 + ln 4 / ln 128)
    expect(file.metadata.get('phi3.rope.scaling.attn_factor')?.value).toBeCloseTo(1.13389, 5);
    expect(checkpoint.config).toMatchObject({
      original_max_position_embeddings: 128,
      max_position_embeddings: 512,
      rope_scaling: { rope_type: 'longrope', short_factor: scaling.short_factor, long_factor: factors },
    });
    expect(checkpoint.tensors.has('rope_factors_long.weight')).toBe(false);
  });

  it('a rotation of a part of each head', async () => {
    const { config, tensors } = await formula('phi3', {
      rope_parameters: { rope_theta: 10000, rope_type: 'default', partial_rotary_factor: 0.75 },
    });
    const { file, checkpoint } = await throughFile(config, tensors);
    expect(file.metadata.get('phi3.rope.dimension_count')?.value).toBe(12);
    expect(checkpoint.config['partial_rotary_factor']).toBe(0.75);
  });

  it('a layer norm of each head: stacked vectors of StableLM', async () => {
    const { config, tensors } = await formula('stablelm', { qk_layernorm: true });
    const heads = [0, 1, 2, 3].map((head) => `model.layers.0.self_attn.q_layernorm.norms.${head}.weight`);
    for (const [head, name] of heads.entries()) tensors.set(name, tensor('f32', [16], new Float32Array(16).fill(head)));
    const { file, checkpoint } = await throughFile(config, tensors);
    expect(file.tensors.get('blk.0.attn_q_norm.weight')?.shape).toEqual([4, 16]);
    expect(checkpoint.config['qk_layernorm']).toBe(true);
    expect((await checkpoint.read(heads[2])).data).toEqual(new Float32Array(16).fill(2));
  });

  it('the sizes of the older spelling', async () => {
    const { n_head: heads, n_layer: layers, ...rest } = (await formula('bloom')).config as Config;
    const { tensors } = await formula('bloom');
    const old = { ...rest, hidden_size: undefined, n_embed: 64, num_attention_heads: heads, num_hidden_layers: layers, seq_length: 1024 };
    const { file } = await throughFile(old, tensors);
    expect(file.metadata.get('bloom.context_length')?.value).toBe(1024);
    expect(file.metadata.get('bloom.embedding_length')?.value).toBe(64);
  });

  it('the default of a family for a value that config.json leaves out', async () => {
    const { rope_theta: _theta, ...config } = { ...TINY, model_type: 'llama', rope_theta: 1 };
    const { file } = await throughFile(config, randomTensors(config));
    expect(file.metadata.get('llama.rope.freq_base')?.value).toBe(10000);
  });
});
