import { createReferenceBackend, createRng, toF32 } from '@calibrant/core';
import { architectures, foldableInputs, openTransformer } from '@calibrant/transformer';
import { describe, expect, it } from '@jest/globals';
import { maxDifference } from './compare.js';
import { foldedModel } from './folded-model.js';
import { describeConfig, variantModel } from './variant-model.js';

const random = createRng(5);
const ids = Int32Array.from({ length: 10 }, () => random.integer(320));

interface Case {
  readonly name: string;
  readonly changes?: Record<string, unknown>;
  /** What each input of the first block, then of the head, folds into: the end of a weight's name, with rows, or nothing. */
  readonly into: readonly string[];
}

const LLAMA = ['input_layernorm', 'v_proj', 'post_attention_layernorm', 'up_proj', 'model.norm'];
const GPT = ['ln_1', 'c_attn', 'ln_2', '-', '-'];
const CASES: readonly Case[] = [
  ...['llama', 'llama3-rope', 'mistral-sliding', 'granite'].map((name) => ({ name, into: LLAMA })),
  ...['qwen2', 'qwen3', 'smollm3'].map((name) => ({ name, changes: { tie_word_embeddings: false }, into: LLAMA })),
  { name: 'llama-bias-tied', into: [...LLAMA.slice(0, 4), '-'] },
  {
    name: 'mixtral',
    into: ['input_layernorm', 'v_proj', 'post_attention_layernorm', ...[0, 1, 2, 3].map((i) => `experts.${i}.w3`), 'model.norm'],
  },
  {
    name: 'qwen2-moe',
    into: [...LLAMA.slice(0, 3), ...[0, 1, 2, 3].map((i) => `experts.${i}.up_proj`), 'shared_expert.up_proj', 'model.norm'],
  },
  { name: 'qwen3-moe', into: [...LLAMA.slice(0, 3), ...[0, 1, 2, 3].map((i) => `experts.${i}.up_proj`), 'model.norm'] },
  { name: 'gemma', into: [...LLAMA.slice(0, 4), '-'] },
  { name: 'gemma2', into: ['input_layernorm', 'v_proj', 'pre_feedforward_layernorm', 'up_proj', '-'] },
  { name: 'gemma3', into: ['input_layernorm', 'v_proj', 'pre_feedforward_layernorm', 'up_proj', '-'] },
  { name: 'phi', into: ['input_layernorm', 'v_proj', '-', 'final_layernorm'] },
  { name: 'phi', changes: { hidden_act: 'relu', qk_layernorm: true }, into: ['input_layernorm', 'v_proj', 'fc1', 'final_layernorm'] },
  { name: 'phi3', into: ['input_layernorm', 'qkv_proj', 'post_attention_layernorm', 'gate_up_proj', 'model.norm'] },
  { name: 'gpt2', into: GPT },
  { name: 'gpt2', changes: { activation_function: 'relu', tie_word_embeddings: false }, into: [...GPT.slice(0, 3), 'c_fc', 'ln_f'] },
  { name: 'gpt-neox', into: ['input_layernorm', 'query_key_value', 'post_attention_layernorm', '-', 'final_layer_norm'] },
  { name: 'gpt-neox-serial', into: ['input_layernorm', 'query_key_value', 'post_attention_layernorm', '-', 'final_layer_norm'] },
  { name: 'stablelm', into: LLAMA },
  {
    name: 'stablelm',
    changes: { qk_layernorm: true, use_parallel_residual: true },
    into: ['input_layernorm', 'v_proj', 'up_proj', 'model.norm'],
  },
  { name: 'olmo2', into: ['-', 'v_proj', '-', 'up_proj', 'model.norm'] },
  { name: 'cohere', into: ['input_layernorm', 'v_proj', 'up_proj', '-'] },
  { name: 'falcon', into: ['ln_attn', 'query_key_value', 'ln_mlp', '-', '-'] },
  {
    name: 'falcon',
    changes: { new_decoder_architecture: false, num_ln_in_parallel_attn: null, activation: 'relu' },
    into: ['input_layernorm', 'query_key_value', 'dense_h_to_4h', '-'],
  },
  { name: 'bloom', into: ['input_layernorm', 'query_key_value', 'post_attention_layernorm', '-', '-'] },
  { name: 'bloom', changes: { apply_residual_connection_post_layernorm: true }, into: ['-', 'query_key_value', '-', '-', '-'] },
  { name: 'opt', into: ['self_attn_layer_norm', 'v_proj', 'final_layer_norm', 'fc1', '-'] },
  {
    name: 'opt',
    changes: { do_layer_norm_before: false, word_embed_proj_dim: 32, tie_word_embeddings: false },
    into: ['-', 'v_proj', '-', 'fc1', '-', 'project_out'],
  },
];

const tested = new Set<string>();

describe.each(CASES.map((one) => ({ changes: {}, ...one })))('foldable inputs of $name with $changes', ({ name, changes, into }) => {
  const { config, weights, checkpoint } = variantModel(name, changes);
  tested.add(config['model_type']);
  const inputs = foldableInputs(describeConfig(config));

  it('names the norm or the layer that each folds into, or the reason why there is none', () => {
    const seen = inputs.filter(({ block }) => block === 0 || block === 'head');
    expect(seen.map(({ previous }) => previous?.weight.name ?? '-')).toEqual(
      into.map((end) => (end === '-' ? '-' : expect.stringContaining(`${end}.weight`))),
    );
    for (const { previous, reason } of inputs) expect(previous === undefined).toBe(typeof reason === 'string');
  });

  it('leaves the function as it is, to the last bit where the norms have no offset', async () => {
    const backend = createReferenceBackend();
    const logits = toF32(await openTransformer(checkpoint, backend).logits(ids));
    const model = foldedModel(name, config, weights);
    for (const { previous } of inputs)
      if (previous) expect(toF32(await model.read(previous.weight.name))).not.toEqual(toF32(weights.get(previous.weight.name)!));
    const folded = toF32(await openTransformer(model, backend).logits(ids));
    const offsets = inputs.some(({ previous }) => (previous?.offset ?? 0) !== 0);
    if (offsets) expect(maxDifference(folded, logits)).toBeLessThan(1e-5 * Math.max(...logits.map(Math.abs)));
    else expect(folded).toEqual(logits);
  });
});

describe('a foldable input', () => {
  const first = (name: string, value: string, changes: Record<string, unknown> = {}) =>
    foldableInputs(describeConfig(variantModel(name, changes).config)).find((input) => input.value === value)!;

  it('lists routers, shared gates and the layers of all experts, which see the same channels', () => {
    const { linears, points } = first('qwen2-moe', 'mlpInput');
    const names = linears.map(({ weight }) => weight.name.replace('model.layers.0.mlp.', '').replace('.weight', ''));
    expect(names).toEqual([
      'gate',
      ...[0, 1, 2, 3].flatMap((i) => [`experts.${i}.gate_proj`, `experts.${i}.up_proj`]),
      'shared_expert.gate_proj',
      'shared_expert.up_proj',
      'shared_expert_gate',
    ]);
    expect(points).toEqual(['mlpInput', 'expert0Input', 'expert1Input', 'expert2Input', 'expert3Input']);
    expect(linears.filter(({ decides }) => decides)).toHaveLength(2);
  });

  it('lists attention and MLP of parallel blocks on one norm', () => {
    expect(first('phi', 'attentionInput').linears.map(({ weight }) => weight.name.split('.').at(-2))).toEqual([
      'q_proj',
      'k_proj',
      'v_proj',
      'fc1',
    ]);
  });

  it('tells dimensions of the residual stream from channels inside attention and MLP', () => {
    const residual = (name: string, changes = {}) =>
      foldableInputs(describeConfig(variantModel(name, changes).config)).flatMap((input) =>
        input.block === 1 || !input.residual ? [] : [input.value],
      );
    expect(residual('llama')).toEqual(['attentionInput', 'mlpInput', 'normed']);
    expect(residual('olmo2')).toEqual(['hidden', 'mlpInput', 'normed']);
    expect(residual('opt', { do_layer_norm_before: false, word_embed_proj_dim: 32 })).toEqual(['hidden', 'mlpInput', 'hidden']);
  });

  it('maps the heads of grouped-query attention to the rows of their value head', () => {
    const { previous, width } = first('llama', 'attentionOutput');
    const { heads, kvHeads, headDim } = describeConfig(variantModel('llama', {}).config);
    expect(previous!.sharedBy).toBe(heads / kvHeads);
    expect(width).toBe(heads * headDim);
    for (const [channel, row] of previous!.rows.entries()) {
      const valueHead = Math.floor((Math.floor(channel / headDim) * kvHeads) / heads);
      expect(row).toBe(valueHead * headDim + (channel % headDim));
    }
  });

  it('gives the rows of a fused projection', () => {
    const { heads, headDim } = describeConfig(variantModel('gpt-neox', {}).config);
    const byHead = Array.from({ length: heads * headDim }, (_, i) => Math.floor(i / headDim) * 3 * headDim + 2 * headDim + (i % headDim));
    expect([...first('gpt-neox', 'attentionOutput').previous!.rows]).toEqual(byHead);
    const { previous, width } = first('phi3', 'mlpHidden');
    expect([...previous!.rows]).toEqual(Array.from({ length: width }, (_, i) => width + i));
  });

  it.each([
    ['gpt2', 'mlpHidden', {}, /^geluTanh stands between the layers/],
    ['gpt2', 'normed', {}, /wte\.weight is used elsewhere too \(tied weights\)/],
    ['olmo2', 'hidden', {}, /residual connection/],
    ['olmo2', 'mlpInput', {}, /residual connection/],
    ['bloom', 'mlpInput', { apply_residual_connection_post_layernorm: true }, /mlpInput is read by the residual connection too/],
  ])('of %s at %s with %p says why nothing can be folded', (name, value, changes, reason) => {
    expect(first(name, value, changes as Record<string, unknown>).reason).toMatch(reason);
  });

  it('is looked for in every official architecture', () => {
    // The multimodal Gemma 3 is its text model under other names.
    expect(architectures.map(({ name }) => name).filter((name) => !tested.has(name))).toEqual(['gemma3']);
  });
});
