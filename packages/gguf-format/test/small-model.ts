import { createReferenceBackend, tensor } from '@calibrant/core';
import { BLOCK_TYPES, type BlockTypeName, type GgufMetadata, GgufWriter, ggufValue, layOut } from '@calibrant/gguf-format';
import { memorySink } from './memory-files.js';

const backend = createReferenceBackend();
const WIDTH = 64;

/** A Llama of one block that every check accepts, apart from what it computes. */
export const smallMetadata: GgufMetadata = new Map([
  ['general.architecture', ggufValue.string('llama')],
  ['general.name', ggufValue.string('small')],
  ['llama.context_length', ggufValue.u32(32)],
  ['llama.embedding_length', ggufValue.u32(WIDTH)],
  ['llama.block_count', ggufValue.u32(1)],
  ['llama.feed_forward_length', ggufValue.u32(WIDTH)],
  ['llama.attention.head_count', ggufValue.u32(2)],
  ['llama.attention.head_count_kv', ggufValue.u32(2)],
  ['llama.attention.layer_norm_rms_epsilon', ggufValue.f32(1e-5)],
  ['llama.rope.dimension_count', ggufValue.u32(WIDTH / 2)],
  ['llama.vocab_size', ggufValue.u32(6)],
  ['tokenizer.ggml.model', ggufValue.string('gpt2')],
  ['tokenizer.ggml.pre', ggufValue.string('gpt-2')],
  ['tokenizer.ggml.tokens', ggufValue.strings(['a', 'b', 'ab', 'ä', '\ufeffx', '<end>'])],
  ['tokenizer.ggml.token_type', ggufValue.i32s([1, 1, 1, 1, 1, 3])],
  ['tokenizer.ggml.merges', ggufValue.strings(['a b'])],
  ['tokenizer.ggml.eos_token_id', ggufValue.u32(5)],
]);

const matrix = (name: string, type: BlockTypeName, rows = WIDTH) => ({ name, shape: [rows, WIDTH], type });
export const smallTensors: readonly { name: string; shape: number[]; type: BlockTypeName }[] = [
  matrix('token_embd.weight', 'Q8_0', 6),
  { name: 'blk.0.attn_norm.weight', shape: [WIDTH], type: 'F32' },
  matrix('blk.0.attn_q.weight', 'Q4_0'),
  matrix('blk.0.attn_k.weight', 'Q4_0'),
  matrix('blk.0.attn_v.weight', 'Q5_0'),
  matrix('blk.0.attn_output.weight', 'F16'),
  { name: 'blk.0.ffn_norm.weight', shape: [WIDTH], type: 'F32' },
  matrix('blk.0.ffn_gate.weight', 'BF16'),
  matrix('blk.0.ffn_up.weight', 'Q8_0'),
  matrix('blk.0.ffn_down.weight', 'Q8_0'),
  { name: 'output_norm.weight', shape: [WIDTH], type: 'F32' },
];

/** The bytes of a file; values follow from the tensor's place and `seed`. */
export async function smallModel({ metadata = smallMetadata, tensors = smallTensors, seed = 0 } = {}): Promise<Uint8Array> {
  const sink = memorySink();
  const writer = new GgufWriter(
    sink,
    layOut(
      metadata,
      tensors.map(({ type, ...plan }) => ({ ...plan, type: BLOCK_TYPES[type] })),
    ),
  );
  for (const [index, { name, shape, type }] of tensors.entries()) {
    const rows = shape.length > 1 ? shape[0] : 1;
    const values = Float32Array.from({ length: rows * WIDTH }, (_, i) => Math.sin(i * 0.37 + index) * (1 + seed));
    const x = await backend.upload(tensor('f32', [rows, WIDTH], values));
    const { data } = await backend.download(backend.run(BLOCK_TYPES[type].encode, { x }, {}).blocks);
    await writer.write(name, 0, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  await writer.finish();
  return sink.bytes();
}
