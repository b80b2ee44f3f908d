import { type BufferHandle, createReferenceBackend, defineArchitecture, scale, type Tensor, tensor, toF32 } from '@calibrant/core';
import { type ArchitectureDescription, architectures, openTransformer } from '@calibrant/transformer';
import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { BACKENDS } from './backends.js';
import { maxDifference } from './compare.js';
import { goldenModel } from './golden-model.js';
import { memoryCheckpoint } from './safetensors-checkpoint.js';

const golden = goldenModel('llama');
const ids = golden.reference.get('input_ids')!.data as Int32Array;
const sequences = [ids, ids.subarray(5, 21), ids.slice(0, 30).reverse()];
const withConfig = (changes: Record<string, unknown>, weights: ReadonlyMap<string, Tensor> = golden.weights) =>
  memoryCheckpoint('changed', { ...golden.checkpoint.config, ...changes }, weights);
const logitsOf = async (changes: Record<string, unknown>, from = ids): Promise<Float32Array> =>
  toF32(await openTransformer(withConfig(changes), createReferenceBackend()).logits(from));

describe('a block', () => {
  it('names its linears in stages of one input, in the order of computation', () => {
    const model = openTransformer(goldenModel('qwen2').checkpoint, createReferenceBackend());
    const stages = model.block(1).stages;
    expect(stages.map(({ point, linears }) => [point, linears.map(({ name }) => name.replace('model.layers.1.', ''))])).toEqual([
      ['attentionInput', ['self_attn.q_proj.weight', 'self_attn.k_proj.weight', 'self_attn.v_proj.weight']],
      ['attentionOutput', ['self_attn.o_proj.weight']],
      ['mlpInput', ['mlp.gate_proj.weight', 'mlp.up_proj.weight']],
      ['mlpHidden', ['mlp.down_proj.weight']],
    ]);
    expect(stages[0].linears[0]).toMatchObject({
      block: 1,
      input: 'attentionInput',
      bias: 'model.layers.1.self_attn.q_proj.bias',
      shape: [64, 64],
    });
    expect(model.linears().length).toBe(14);
  });

  it('shows every linear its input: observed values times the weight give the next value', async () => {
    const backend = createReferenceBackend();
    const model = openTransformer(golden.checkpoint, backend);
    const block = model.block(0);
    const weights = await block.load();
    const hidden = await model.embed(ids);
    const seen = new Map<string, BufferHandle>();
    const keep = (point: string, handle: BufferHandle) => seen.set(point, backend.run(scale, { x: handle }, { scale: 1 }).y);
    const output = await block.forward(hidden, weights, { observe: keep });
    expect([...seen.keys()]).toEqual(['attentionInput', 'attentionOutput', 'mlpInput', 'mlpHidden']);

    for (const [point, observed] of seen) {
      const reached = await block.forwardTo(point, hidden, weights);
      expect(await backend.download(reached)).toEqual(await backend.download(observed));
      backend.free(reached, observed);
    }
    const middle = await block.forwardTo('middle', hidden, weights);
    const projected = await block.forwardTo('mlpProjected', hidden, weights);
    const [whole, a, b] = await Promise.all([output, middle, projected].map((handle) => backend.download(handle)));
    expect(
      maxDifference(
        toF32(whole),
        toF32(a).map((value, i) => value + toF32(b)[i]),
      ),
    ).toBeLessThan(1e-6);
    backend.free(middle, projected, output, hidden);
    block.release(weights);
    await model.release();
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('uses weights that were put in the place of others', async () => {
    const backend = createReferenceBackend();
    const model = openTransformer(golden.checkpoint, backend);
    const block = model.block(1);
    const weights = await block.load();
    const hidden = await model.embed(ids);
    const before = await block.forwardTo('middle', hidden, weights);
    for (const name of ['mlp.down_proj', 'self_attn.o_proj'].map((part) => `model.layers.1.${part}.weight`)) {
      const old = weights.get(name)!;
      weights.set(name, await backend.upload(tensor('f32', old.shape)));
      backend.free(old);
    }
    const output = await block.forward(hidden, weights);
    expect(await backend.download(output)).toEqual(await backend.download(hidden));
    expect(await backend.download(before)).not.toEqual(await backend.download(hidden));
    weights.delete('model.layers.1.mlp.up_proj.weight');
    await expect(block.forward(hidden, weights)).rejects.toThrow(/lack model\.layers\.1\.mlp\.up_proj\.weight/);
  });
});

describe.each(BACKENDS)('running several sequences on the $backend backend', ({ create }) => {
  it('gives what each sequence gives alone, observes every linear, and frees everything', async () => {
    const backend = create();
    const model = openTransformer(golden.checkpoint, backend);
    const observed: string[] = [];
    const events: number[] = [];
    const states = await model.run(sequences, {
      observe: (block, point, handle, sequence) => observed.push(`${block} ${point} ${sequence} ${handle.shape[0]}`),
      onEvent: (event) => 'done' in event && events.push(event.done),
    });
    expect(events).toEqual([1, 2]);
    expect(observed.length).toBe(2 * 4 * sequences.length);
    expect(observed).toContain('1 mlpHidden 2 30');
    for (const [i, hidden] of states.entries()) {
      const handle = await model.head(hidden);
      const together = await backend.download(handle);
      backend.free(handle, hidden);
      expect(maxDifference(toF32(together), toF32(await model.logits(sequences[i])))).toBeLessThan(1e-5);
    }
    await model.release();
    await backend.sync();
    expect(backend.allocatedBytes()).toBe(0);
    await backend.close();
  });

  it('gives the same logits when embedding and head are too large to be held in f32', async () => {
    const backend = create();
    const bf16 = new Map([...golden.weights].map(([name, value]) => [name, toBf16(value)]));
    const checkpoint = withConfig({}, bf16);
    const whole = await openTransformer(checkpoint, backend).logits(ids);
    // 320 × 64 in f32 are 80 KiB: three chunks of 128 rows.
    const model = openTransformer(checkpoint, backend, { chunkBytes: 32768 });
    expect(maxDifference(toF32(await model.logits(ids)), toF32(whole))).toBeLessThan(1e-5);
    await model.release();
    await backend.close();
  });
});

function toBf16(value: Tensor): Tensor {
  const bits = new Uint32Array((value.data as Float32Array).buffer, value.data.byteOffset, value.data.length);
  return tensor(
    'bf16',
    value.shape,
    Uint16Array.from(bits, (word) => word >>> 16),
  );
}

describe('config.json', () => {
  const { rope_parameters: _, ...old } = golden.checkpoint.config;

  it('is read in the old spelling of rotary settings and in the new one', async () => {
    const plain = { rope_theta: 10000, rope_type: 'default' };
    const expected = await logitsOf({ rope_parameters: plain });
    const withoutNew = (changes: object) => ({ ...old, rope_parameters: undefined, ...changes });
    expect(await logitsOf(withoutNew({ rope_theta: 10000, rope_scaling: null }))).toEqual(expected);
    const llama3 = { factor: 8, high_freq_factor: 4, low_freq_factor: 1, original_max_position_embeddings: 16 };
    const scaled = await logitsOf({ rope_parameters: { ...plain, rope_type: 'llama3', ...llama3 } });
    expect(scaled).not.toEqual(expected);
    expect(await logitsOf(withoutNew({ rope_theta: 10000, rope_scaling: { type: 'llama3', ...llama3 } }))).toEqual(scaled);
    expect(await logitsOf(withoutNew({ rope_theta: 10000, rope_scaling: { rope_type: 'llama3', ...llama3 } }))).toEqual(scaled);
  });

  it('linear scaling turns position 2p as far as position p is turned without', async () => {
    const rope = (rope_parameters: object) => ({ rope_parameters: { rope_theta: 10000, ...rope_parameters } });
    const tables = async (changes: Record<string, unknown>) => {
      const backend = createReferenceBackend();
      const { cos } = (await openTransformer(withConfig(changes), backend).positions.sequence(8)).tables['main'];
      return backend.download(cos);
    };
    const [plain, halved] = [await tables(rope({ rope_type: 'default' })), await tables(rope({ rope_type: 'linear', factor: 2 }))];
    for (const p of [1, 3])
      expect(
        maxDifference(
          halved.data.subarray(2 * p * 8, 2 * p * 8 + 8) as Float32Array,
          plain.data.subarray(p * 8, p * 8 + 8) as Float32Array,
        ),
      ).toBeLessThan(1e-7);
  });

  it('dynamic scaling is the plain embedding up to the known length and refused beyond', async () => {
    const dynamic = { rope_theta: 10000, rope_type: 'dynamic', factor: 2 };
    expect(await logitsOf({ rope_parameters: dynamic })).toEqual(await logitsOf({}));
    await expect(logitsOf({ rope_parameters: dynamic, max_position_embeddings: 40 })).rejects.toThrow(
      /up to max_position_embeddings \(40\)/,
    );
  });

  it('sliding windows of Qwen count from max_window_layers, or go by layer_types', () => {
    const base = goldenModel('qwen2').checkpoint.config;
    const windows = (changes: object) =>
      architectures
        .find(({ name }) => name === 'qwen2')!
        .describe({ ...base, ...changes })
        .blocks.map((steps) => steps.map((step) => (step.op === 'attention' ? step.attributes.window : undefined)).find(Boolean));
    const sliding = { use_sliding_window: true, sliding_window: 16 };
    expect(windows({ ...sliding, layer_types: undefined, max_window_layers: 1 })).toEqual([undefined, 16]);
    expect(windows({ ...sliding, layer_types: ['sliding_attention', 'full_attention'] })).toEqual([16, undefined]);
    expect(windows({ ...sliding, use_sliding_window: false, layer_types: undefined, max_window_layers: 0 })).toEqual([
      undefined,
      undefined,
    ]);
  });

  it('errors name the key, what was expected and what was found', () => {
    const open = (changes: object) => () => openTransformer(withConfig(changes as Record<string, unknown>), createReferenceBackend());
    expect(open({ hidden_size: 'wide' })).toThrow(/"hidden_size" must be a whole number.*found "wide"/);
    expect(open({ vocab_size: undefined })).toThrow(/"vocab_size".*found nothing/);
    expect(open({ num_hidden_layers: 1e9 })).toThrow(/"num_hidden_layers" must be a whole number from 1 to 4096/);
    expect(open({ num_key_value_heads: 3 })).toThrow(/multiple of num_key_value_heads/);
    expect(open({ hidden_act: 'xielu' })).toThrow(/activation "xielu".*silu/);
    expect(open({ rope_parameters: { rope_type: 'proportional' } })).toThrow(/rotary scaling "proportional" is not supported.*yarn/);
    expect(open({ rms_norm_eps: 0 })).toThrow(/rms_norm_eps/);
  });
});

describe('opening a checkpoint', () => {
  const backend = createReferenceBackend();

  it('lists the supported architectures when the architecture is unknown', () => {
    const open = (changes: Record<string, unknown>) => () => openTransformer(withConfig(changes), backend);
    expect(open({ model_type: 'mamba', architectures: ['MambaForCausalLM'] })).toThrow(
      /"mamba \/ MambaForCausalLM" is not supported\. Supported are llama, mistral,.* gpt2,.* opt;/,
    );
    expect(open({ model_type: undefined, architectures: undefined })).toThrow(/names no architecture/);
    expect(open({ model_type: undefined })).not.toThrow();
  });

  it('names missing tensors and how many more there are', () => {
    const few = new Map([...golden.weights].filter(([name]) => !name.includes('layers.1.') && name !== 'lm_head.weight'));
    expect(() => openTransformer(withConfig({}, few), backend)).toThrow(
      /needs model\.layers\.1\.input_layernorm\.weight \[64\],.* and 5 more/,
    );
  });

  it('names a tensor of another shape with both shapes and its file', () => {
    expect(() => openTransformer(withConfig({ intermediate_size: 96 }), backend)).toThrow(
      /model\.layers\.0\.mlp\.gate_proj\.weight must have shape \[96, 64\].*found f32 \[160, 64\] in model\.safetensors/,
    );
  });

  it('refuses weights that are not floats, ids outside the vocabulary, empty sequences and blocks that do not exist', async () => {
    const name = 'model.layers.0.mlp.up_proj.weight';
    const packed = new Map(golden.weights).set(name, tensor('i32', [160, 64]));
    await expect(openTransformer(withConfig({}, packed), backend).block(0).load()).rejects.toThrow(/up_proj\.weight is stored as i32/);
    const model = openTransformer(golden.checkpoint, backend);
    await expect(model.logits(Int32Array.of(1, 320))).rejects.toThrow(/Token 1 of the sequence is 320, outside the vocabulary of 320/);
    await expect(model.logits(new Int32Array(0))).rejects.toThrow(/at least one token/);
    expect(() => model.block(2)).toThrow(/blocks 0 to 1, asked for 2/);
  });

  it('runs an architecture that a plug-in adds', async () => {
    const llama = architectures.find(({ name }) => name === 'llama')!;
    const plugin = defineArchitecture<ArchitectureDescription>({
      name: 'my-llama',
      modelTypes: ['my_llama'],
      meta: { description: 'a test', package: 'test' },
      options: z.strictObject({}),
      describe: (config) => llama.describe({ ...config, rms_norm_eps: 1e-6 }),
    });
    const model = openTransformer(withConfig({ model_type: 'my_llama' }), createReferenceBackend(), { architectures: [plugin] });
    expect(toF32(await model.logits(ids))).toEqual(await logitsOf({}));
  });
});
