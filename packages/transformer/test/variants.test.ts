import { type Backend, createReferenceBackend, createRng, type Tensor, tensor, toF32 } from '@calibrant/core';
import { openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BACKENDS } from './backends.js';
import { maxDifference, row } from './compare.js';
import { goldenModel } from './golden-model.js';
import { plainForward } from './plain/plain-forward.js';
import { memoryCheckpoint } from './safetensors-checkpoint.js';
import { describeConfig, variantModel } from './variant-model.js';

const random = createRng(8);
const ids = Int32Array.from({ length: 24 }, () => random.integer(320));

const VARIANTS: { name: string; what: string; changes: Record<string, unknown> }[] = [
  { name: 'falcon', what: 'multi-query, parallel, of 7B', changes: { new_decoder_architecture: false, num_ln_in_parallel_attn: null } },
  {
    name: 'falcon',
    what: 'ALiBi, one after the other, with biases, of RW',
    changes: { new_decoder_architecture: false, multi_query: false, parallel_attn: false, alibi: true, bias: true },
  },
  { name: 'falcon', what: 'one norm for both, of 11B', changes: { num_ln_in_parallel_attn: 1 } },
  { name: 'cohere', what: 'norms of q and k, of Command R+', changes: { use_qk_norm: true, attention_bias: true } },
  { name: 'stablelm', what: 'norms of q and k, parallel, of 12B', changes: { qk_layernorm: true, use_parallel_residual: true } },
  { name: 'phi', what: 'norms of q and k', changes: { qk_layernorm: true } },
  { name: 'opt', what: 'norms behind, narrow embeddings, of 350M', changes: { do_layer_norm_before: false, word_embed_proj_dim: 32 } },
  { name: 'opt', what: 'no biases', changes: { enable_bias: false } },
  { name: 'bloom', what: 'residual after the norm', changes: { apply_residual_connection_post_layernorm: true } },
  { name: 'qwen2-moe', what: 'a dense layer and normalized weights', changes: { mlp_only_layers: [0], norm_topk_prob: true } },
  { name: 'qwen3-moe', what: 'more experts than are added up at once', changes: { num_local_experts: 21, num_experts_per_tok: 5 } },
  {
    name: 'phi3',
    what: 'a part of each head turning, tied, of Phi-4-mini',
    changes: { tie_word_embeddings: true, partial_rotary_factor: 0.75 },
  },
  { name: 'gemma2', what: 'no caps', changes: { final_logit_softcapping: null, attn_logit_softcapping: null } },
];

/** By variant: the same for every backend. */
const plainLogits = new Map<string, ReturnType<typeof plainForward>>();

describe.each(BACKENDS)('variants on the $backend backend', ({ create }) => {
  let backend: Backend;
  beforeAll(() => {
    backend = create();
  });
  afterAll(() => backend.close());

  it.each(VARIANTS)('$name: $what', async ({ name, changes }) => {
    const { config, weights, checkpoint } = variantModel(name, changes);
    if (changes['partial_rotary_factor'])
      Object.assign(config['rope_parameters'], { partial_rotary_factor: changes['partial_rotary_factor'] });
    const key = JSON.stringify(changes) + name;
    const plain = plainLogits.get(key) ?? plainForward(config, weights, ids);
    plainLogits.set(key, plain);
    const model = openTransformer(checkpoint, backend);
    const logits = await model.logits(ids);
    for (const [t, values] of plain.entries()) expect(maxDifference(row(logits, t), values)).toBeLessThan(5e-4);
    await model.release();
    await backend.sync();
    expect(backend.allocatedBytes()).toBe(0);
  });
});

describe('config.json of other times', () => {
  const logitsOf = async (name: string, changes: Record<string, unknown>, weights?: ReadonlyMap<string, Tensor>) => {
    const golden = goldenModel(name);
    const checkpoint = memoryCheckpoint(name, { ...golden.checkpoint.config, ...changes }, weights ?? golden.weights);
    return toF32(await openTransformer(checkpoint, createReferenceBackend()).logits(ids));
  };

  it.each([
    { name: 'gpt-neox', changes: { rotary_pct: 0.25, rotary_emb_base: 10000 } },
    { name: 'gemma3', changes: { rope_theta: 1000000, rope_local_base_freq: 10000, sliding_window_pattern: 6, layer_types: undefined } },
    { name: 'gemma', changes: { rope_theta: 10000, hidden_act: 'gelu', hidden_activation: null } },
    { name: 'phi', changes: { rope_theta: 10000 } },
    { name: 'qwen3-moe', changes: { rope_theta: 10000, num_experts: 4, num_local_experts: undefined } },
  ])('$name gives the same logits by $changes', async ({ name, changes }) => {
    expect(await logitsOf(name, { rope_parameters: undefined, ...changes })).toEqual(await logitsOf(name, {}));
  });

  it.each([
    ['gpt2', 'transformer.'],
    ['bloom', 'transformer.'],
    ['opt', 'model.'],
  ])('%s is read from tensors without "%s"', async (name, prefix) => {
    const short = new Map([...goldenModel(name).weights].map(([key, value]) => [key.replace(prefix, ''), value]));
    expect(await logitsOf(name, {}, short)).toEqual(await logitsOf(name, {}));
  });
});

describe('embedding and head in pieces', () => {
  it.each(['phi', 'gemma2', 'opt', 'cohere'])('of %s give the same logits', async (name) => {
    const { checkpoint } = goldenModel(name);
    const backend = createReferenceBackend();
    const whole = await openTransformer(checkpoint, backend).logits(ids);
    const model = openTransformer(checkpoint, backend, { chunkBytes: 32768 });
    expect(await model.logits(ids)).toEqual(whole);
  });
});

describe('a multimodal Gemma 3', () => {
  it('runs as its text model, which its tensor names and text_config hold', async () => {
    const { checkpoint, weights } = goldenModel('gemma3');
    const { bos_token_id, eos_token_id, num_attention_heads, num_key_value_heads, ...text } = checkpoint.config;
    const config = { model_type: 'gemma3', bos_token_id, eos_token_id, text_config: { num_attention_heads, num_key_value_heads, ...text } };
    const inside = new Map([...weights].map(([name, value]) => [`language_model.${name}`, value]));
    const backend = createReferenceBackend();
    const model = openTransformer(memoryCheckpoint('multimodal', config, inside), backend);
    expect(toF32(await model.logits(ids))).toEqual(toF32(await openTransformer(checkpoint, backend).logits(ids)));
    const newer = new Map([...weights].map(([name, value]) => [name.replace(/^model\./, 'model.language_model.'), value]));
    const again = openTransformer(memoryCheckpoint('saved anew', config, newer), backend);
    expect(toF32(await again.logits(ids))).toEqual(toF32(await model.logits(ids)));
    expect(model.description).toMatchObject({ name: 'gemma3', bosTokenId: 1, eosTokenIds: [2] });
    const small = { hidden_size: 64, intermediate_size: 96, num_hidden_layers: 1 };
    expect(describeConfig({ model_type: 'gemma3', text_config: small })).toMatchObject({ heads: 8, kvHeads: 4, vocabSize: 262208 });
    expect(() => describeConfig({ model_type: 'gemma3' })).toThrow(/text_config/);
  });
});

describe('what cannot run', () => {
  const refuse = (name: string, changes: Record<string, unknown>, message: RegExp) =>
    expect(() => describeConfig({ ...goldenModel(name).checkpoint.config, ...changes })).toThrow(message);

  it('says which key of config.json is to blame', () => {
    refuse('gemma3', { use_bidirectional_attention: true }, /use_bidirectional_attention/);
    refuse('opt', { layer_norm_elementwise_affine: false }, /layer_norm_elementwise_affine/);
    refuse('mixtral', { num_experts_per_tok: 9 }, /num_experts_per_tok \(9\) is more than the number of experts \(4\)/);
    refuse('mixtral', { num_local_experts: 1e6 }, /num_local_experts.*from 1 to 65536/);
    refuse('stablelm', { num_attention_heads: 2e9, num_key_value_heads: 2e9, qk_layernorm: true }, /num_attention_heads.*from 1 to 65536/);
    refuse('gemma2', { final_logit_softcapping: 0 }, /final_logit_softcapping/);
    refuse(
      'phi3',
      { rope_parameters: { rope_type: 'longrope', short_factor: [1], long_factor: [1] } },
      /"short_factor".*must list 8 numbers/,
    );
  });

  it('is a sequence longer than the learned positions', async () => {
    const { checkpoint } = variantModel('gpt2', { n_positions: 20 });
    const model = openTransformer(checkpoint, createReferenceBackend());
    await expect(model.logits(ids)).rejects.toThrow(/knows 20 positions \(transformer\.wpe\.weight\), found a sequence of 24 tokens/);
    expect((await model.logits(ids.subarray(0, 20))).shape).toEqual([20, 320]);
  });

  it('is a transposed weight of another shape than its config says', () => {
    const { weights, config } = variantModel('gpt2', {});
    const name = 'transformer.h.0.mlp.c_fc.weight';
    const turned = new Map(weights).set(name, tensor('f32', [256, 64]));
    expect(() => openTransformer(memoryCheckpoint('gpt2', config, turned), createReferenceBackend())).toThrow(
      /c_fc\.weight must have shape \[64, 256\].*found f32 \[256, 64\]/,
    );
  });
});
