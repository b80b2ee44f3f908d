import { createShardedWriter, outputFolder } from '@calibrant/checkpoint';
import { createRng, elementCount, tensor } from '@calibrant/core';
import { architectures, storedParts, weightsOf } from '@calibrant/transformer';

const SIZES = {
  vocab_size: 64,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
};

/** Small configs of architectures that differ in what stands before their linear layers. */
export const CONFIGS: Readonly<Record<string, Record<string, unknown>>> = {
  gemma2: { ...SIZES, head_dim: 8, query_pre_attn_scalar: 8 },
  gpt2: { vocab_size: 64, n_embd: 32, n_layer: 2, n_head: 4, n_positions: 64 },
  phi: { ...SIZES, partial_rotary_factor: 0.5 },
  opt: { vocab_size: 64, hidden_size: 32, ffn_dim: 48, num_hidden_layers: 2, num_attention_heads: 4, max_position_embeddings: 64 },
  mixtral: { ...SIZES, num_local_experts: 4 },
  olmo2: SIZES,
};

/** Writes a model with random weights of sizes at which everything counts. */
export async function writeRandomModel(folder: string, modelType: string, changes: Record<string, unknown> = {}): Promise<void> {
  const config = { model_type: modelType, ...CONFIGS[modelType], ...changes };
  const { embedding, blocks, head } = architectures.find(({ modelTypes }) => modelTypes.includes(modelType))!.describe(config);
  const weights = [
    embedding.weight,
    ...[embedding.steps ?? [], ...blocks, head.steps].flatMap(weightsOf),
    ...(head.tied ? [] : [head.weight]),
    ...(head.bias ? [head.bias] : []),
  ];
  const parts = weights.flatMap(storedParts);
  const random = createRng(11);
  const out = outputFolder(folder);
  const writer = await createShardedWriter(
    out,
    parts.map(({ name, shape }) => ({ name, dtype: 'f32' as const, shape })),
  );
  for (const { name, shape } of parts) {
    const isNorm = /norm|ln_/.test(name) && name.endsWith('weight');
    const spread = shape.length === 1 ? 0.2 : 1.2 / Math.sqrt(shape[1]);
    const values = Float32Array.from({ length: elementCount(shape) }, () => (isNorm ? 1 : 0) + spread * random.normal());
    await writer.write(name, tensor('f32', shape, values));
  }
  await writer.finish();
  await out.writeText('config.json', JSON.stringify(config));
}
