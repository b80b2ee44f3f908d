// Writes a Llama checkpoint of random bf16 weights in shards, quickly: the same noise over and over.
import { cp, open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createRng, encodeOne } from '@calibrant/core';
import { modelFolder } from '@calibrant/tiny-llama';

const NOISE = 1 << 22;

/** `sizes`: hidden, intermediate, layers, heads, kvHeads, vocabulary, shardBytes. Returns bytes of tensor data and elements of the largest tensor. */
export async function writeRandomLlama(to, sizes) {
  await cp(modelFolder, to, { recursive: true, filter: (source) => !/\.safetensors$|reference|perplexity/.test(source) });
  const { hidden, intermediate, layers, heads, kvHeads, vocabulary, shardBytes } = sizes;
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    vocab_size: vocabulary,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    max_position_embeddings: 2048,
    hidden_act: 'silu',
    torch_dtype: 'bfloat16',
    bos_token_id: 0,
    eos_token_id: 0,
  };
  await writeFile(path.join(to, 'config.json'), JSON.stringify(config));
  const shards = [[]];
  let room = shardBytes;
  for (const [name, shape] of shapesOf(sizes)) {
    const bytes = 2 * product(shape);
    if (bytes > room && shards.at(-1).length > 0) {
      shards.push([]);
      room = shardBytes;
    }
    shards.at(-1).push({ name, shape, bytes });
    room -= bytes;
  }
  const rng = createRng(5);
  const noise = Uint16Array.from({ length: NOISE }, () => encodeOne('bf16', rng.normal() * 0.02));
  const weightMap = {};
  for (const [i, tensors] of shards.entries()) {
    const file = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    await writeShard(path.join(to, file), tensors, Buffer.from(noise.buffer));
    for (const { name } of tensors) weightMap[name] = file;
  }
  const all = shards.flat();
  const total = all.reduce((sum, { bytes }) => sum + bytes, 0);
  const index = { metadata: { total_size: total }, weight_map: weightMap };
  await writeFile(path.join(to, 'model.safetensors.index.json'), JSON.stringify(index));
  return { bytes: total, shards: shards.length, largest: Math.max(...all.map(({ shape }) => product(shape))) };
}

function shapesOf({ hidden, intermediate, layers, heads, kvHeads, vocabulary }) {
  const kv = (hidden / heads) * kvHeads;
  const block = (i) => [
    [`model.layers.${i}.self_attn.q_proj.weight`, [hidden, hidden]],
    [`model.layers.${i}.self_attn.k_proj.weight`, [kv, hidden]],
    [`model.layers.${i}.self_attn.v_proj.weight`, [kv, hidden]],
    [`model.layers.${i}.self_attn.o_proj.weight`, [hidden, hidden]],
    [`model.layers.${i}.mlp.gate_proj.weight`, [intermediate, hidden]],
    [`model.layers.${i}.mlp.up_proj.weight`, [intermediate, hidden]],
    [`model.layers.${i}.mlp.down_proj.weight`, [hidden, intermediate]],
    [`model.layers.${i}.input_layernorm.weight`, [hidden]],
    [`model.layers.${i}.post_attention_layernorm.weight`, [hidden]],
  ];
  return [
    ['model.embed_tokens.weight', [vocabulary, hidden]],
    ...Array.from({ length: layers }, (_, i) => block(i)).flat(),
    ['model.norm.weight', [hidden]],
  ];
}

async function writeShard(file, tensors, noise) {
  let offset = 0;
  const header = {};
  for (const { name, shape, bytes } of tensors) {
    header[name] = { dtype: 'BF16', shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const handle = await open(file, 'w');
  await handle.write(Buffer.concat([length, padded]));
  for (let left = offset; left > 0; left -= noise.length) await handle.write(noise.subarray(0, Math.min(left, noise.length)));
  await handle.close();
}

const product = (shape) => shape.reduce((a, b) => a * b, 1);
const number = (i) => String(i).padStart(5, '0');
