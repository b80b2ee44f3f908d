import { type Checkpoint, createReferenceBackend, toF32 } from '@calibrant/core';
import { ggufFormat, openGgufCheckpoint } from '@calibrant/gguf-format';
import { openTransformer } from '@calibrant/transformer';
import { describe, expect, it } from '@jest/globals';
import { convert, factsOf, memoryCheckpoint } from './convert-model.js';
import { formulaModel } from './formula-model.js';
import { memoryFolder, memorySource } from './memory-files.js';
import { randomTensors, TINY } from './random-model.js';

const backend = createReferenceBackend();
const format = ggufFormat();
/** Sizes under the names of all architectures. */
const SIZES = {
  ...TINY,
  layer_norm_eps: 1e-5,
  layer_norm_epsilon: 1e-5,
  n_embd: 64,
  n_layer: 2,
  n_head: 4,
  n_positions: 128,
  head_dim: 16,
  query_pre_attn_scalar: 16,
};
const MOE = { num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 32 };
const SLIDING = { use_sliding_window: true, sliding_window: 8, max_window_layers: 28 };

const withConfig = ({ checkpoint, ...rest }: ReturnType<typeof formulaModel>, changes: Record<string, unknown>) => ({
  ...rest,
  checkpoint: { ...checkpoint, config: { ...checkpoint.config, ...changes } },
});
const outputsOf = (config: Record<string, unknown>) => {
  const checkpoint = memoryCheckpoint(config, randomTensors({ ...TINY, ...config }));
  return format.outputs({ checkpoint, facts: factsOf(checkpoint), recipe: {} }, format.options.parse({}));
};

async function throughFile(checkpoint: Checkpoint): Promise<Checkpoint> {
  const folder = memoryFolder();
  await convert(checkpoint, folder, backend, { format: { tokenizer: 'none' } });
  return openGgufCheckpoint(memorySource(folder.files.get('model.gguf')?.bytes() ?? new Uint8Array()), { backend });
}

describe('what llama.cpp would compute differently is refused', () => {
  it.each([
    ['llama', 'hidden_act'],
    ['mistral', 'hidden_act'],
    ['mixtral', 'hidden_act'],
    ['smollm3', 'hidden_act'],
    ['granite', 'hidden_act'],
    ['qwen2', 'hidden_act'],
    ['qwen2_moe', 'hidden_act'],
    ['qwen3', 'hidden_act'],
    ['qwen3_moe', 'hidden_act'],
    ['gemma', 'hidden_act'],
    ['gemma2', 'hidden_activation'],
    ['gemma3_text', 'hidden_activation'],
    ['phi', 'hidden_act'],
    ['phi3', 'hidden_act'],
    ['gpt2', 'activation_function'],
    ['gpt_neox', 'hidden_act'],
    ['stablelm', 'hidden_act'],
    ['olmo2', 'hidden_act'],
    ['cohere', 'hidden_act'],
    ['falcon', 'activation'],
  ])('another activation: %s', async (type, field) => {
    await expect(outputsOf({ ...SIZES, model_type: type, [field]: 'relu' })).rejects.toThrow(
      new RegExp(`"${field}" in config.json is "relu", but llama.cpp computes`),
    );
  });

  it.each(['attention_bias', 'mlp_bias'])('biases of SmolLM 3: %s', async (field) => {
    await expect(outputsOf({ ...SIZES, model_type: 'smollm3', [field]: true })).rejects.toThrow(
      /is true, but llama.cpp has no biases there/,
    );
  });

  it.each(['qwen2', 'qwen2_moe', 'olmo2', 'phi', 'phi3', 'cohere', 'stablelm', 'gpt_neox'])(
    'heads of a size of their own: %s',
    async (type) => {
      await expect(outputsOf({ ...SIZES, model_type: type, head_dim: 32, tie_word_embeddings: true })).rejects.toThrow(
        /4 heads of 32 in config.json do not make the hidden size 64/,
      );
    },
  );

  it.each([
    ['qwen3_moe', { norm_topk_prob: true }],
    ['qwen2_moe', {}],
  ])('windows of mixtures, which slide by a rule of their own: %s', async (type, more) => {
    const config = { ...SIZES, ...MOE, ...SLIDING, ...more, model_type: type };
    await expect(outputsOf(config)).rejects.toThrow(/sliding window of 8 tokens/);
    // Past this check, the tensors are not those of a mixture.
    await expect(outputsOf({ ...config, layer_types: ['full_attention', 'full_attention'] })).rejects.toThrow(/no name in GGUF/);
  });

  it.each([
    ['in the latter', { full_attention: { rope_theta: 1e6 }, sliding_attention: { rope_type: 'linear', factor: 2, rope_theta: 1e4 } }],
    ['in the former', { full_attention: { rope_type: 'yarn', factor: 2, original_max_position_embeddings: 64, rope_theta: 1e6 } }],
  ])('scalings of Gemma 3 that it has for no layer: %s', async (which, rope) => {
    const config = { ...SIZES, model_type: 'gemma3_text', tie_word_embeddings: true, rope_parameters: rope };
    await expect(outputsOf(config)).rejects.toThrow(new RegExp(`Gemma 3 .* config.json asks for "(linear|yarn)" ${which}`));
  });
});

describe('what llama.cpp computes differently on long texts alone is written with a warning', () => {
  it.each([
    [{ model_type: 'mistral', sliding_window: 16 }, [/no sliding window for mistral: on texts of more than 16 tokens/]],
    [{ model_type: 'mistral', sliding_window: 128 }, []],
    [{ model_type: 'llama', rope_scaling: { type: 'dynamic', factor: 2 } }, [/no dynamic scaling .* more than 128 tokens/]],
    [{ model_type: 'llama', rope_scaling: { type: 'linear', factor: 2 } }, []],
  ])('%j', async (changes, expected) => {
    const config = { ...TINY, ...changes };
    const checkpoint = memoryCheckpoint(config, randomTensors(config));
    const input = { checkpoint, facts: factsOf(checkpoint), recipe: {} };
    const warnings: string[] = [];
    const context = { backend, onEvent: (event: object) => void ('warning' in event && warnings.push(String(event.warning))) };
    await format.open(input, [], memoryFolder(), format.options.parse({ tokenizer: 'none', fileName: 'model.gguf' }), context);
    expect(warnings).toHaveLength(expected.length);
    for (const [i, message] of expected.entries()) expect(warnings[i]).toMatch(message);
  });
});

describe('a file gives the logits of its checkpoint', () => {
  it.each([
    ['cohere', 'a scaled rotation', { rope_parameters: { rope_type: 'linear', factor: 4, rope_theta: 10000 } }],
    [
      'llama3-rope',
      'frequency bounds of its own',
      {
        rope_parameters: {
          rope_type: 'llama3',
          factor: 32,
          low_freq_factor: 2,
          high_freq_factor: 8,
          original_max_position_embeddings: 64,
          rope_theta: 500000,
        },
      },
    ],
  ])('%s with %s', async (name, _what, changes) => {
    const { checkpoint, ids } = withConfig(formulaModel(name), changes);
    const plain = toF32(await openTransformer(formulaModel(name).checkpoint, backend).logits(ids));
    const expected = toF32(await openTransformer(checkpoint, backend).logits(ids));
    const found = toF32(await openTransformer(await throughFile(checkpoint), backend).logits(ids));
    const farthest = (from: Float32Array) => expected.reduce((most, logit, i) => Math.max(most, Math.abs(logit - from[i])), 0);
    expect(farthest(plain)).toBeGreaterThan(1e-2);
    expect(farthest(found)).toBeLessThan(1e-4);
  });

  it('of Qwen 2 MoE without biases', async () => {
    const model = formulaModel('qwen2-moe');
    const { checkpoint, ids } = withConfig(model, { qkv_bias: false });
    const unbiased = new Map([...checkpoint.tensors].filter(([name]) => !name.endsWith('.bias')));
    const source = { ...checkpoint, tensors: unbiased };
    const expected = toF32(await openTransformer(source, backend).logits(ids));
    const again = await throughFile(source);
    expect(again.config['qkv_bias']).toBe(false);
    const found = toF32(await openTransformer(again, backend).logits(ids));
    expect(expected.reduce((most, logit, i) => Math.max(most, Math.abs(logit - found[i])), 0)).toBeLessThan(1e-4);
  });

  it('whose config leaves out what its class says', async () => {
    const silent = { num_experts_per_tok: undefined, rms_norm_eps: undefined };
    const { checkpoint, ids } = withConfig(formulaModel('mixtral'), silent);
    const expected = toF32(await openTransformer(checkpoint, backend).logits(ids));
    const again = await throughFile(checkpoint);
    expect(again.config).toMatchObject({ num_experts_per_tok: 2, rms_norm_eps: 1e-5 });
    const found = toF32(await openTransformer(again, backend).logits(ids));
    expect(expected.reduce((most, logit, i) => Math.max(most, Math.abs(logit - found[i])), 0)).toBeLessThan(1e-4);
  });
});
