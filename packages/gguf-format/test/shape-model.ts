import { writeFileSync } from 'node:fs';
import type { OutputTensor } from '@calibrant/core';
import { BLOCK_TYPES, type GgufValue, ggufValue, layOut } from '@calibrant/gguf-format';

/** A model that has all that llama-quantize looks at, and few rows. */
export interface ShapeModel {
  readonly architecture: 'llama' | 'qwen2' | 'falcon' | 'gptneox';
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly columns: number;
  /** Columns of down projections. */
  readonly inner: number;
  readonly experts?: number;
  readonly tied?: boolean;
}

/** Of models with fused projections; the others have one row per head. */
const HEAD_SIZE = 64;
const FUSED: readonly string[] = ['falcon', 'gptneox'];

/** Matrices as in a file of the model: rows where ratios count, else a few. */
export function shapeTensors({ architecture, layers, heads, keyHeads, columns, inner, experts = 0, tied }: ShapeModel): OutputTensor[] {
  const block = (layer: number): [string, readonly number[]][] => [
    ['attn_norm', [columns]],
    ...(FUSED.includes(architecture)
      ? ([['attn_qkv', [(heads + 2 * keyHeads) * HEAD_SIZE, columns]]] as [string, number[]][])
      : ([
          ['attn_q', [heads, columns]],
          ['attn_k', [keyHeads, columns]],
          ['attn_v', [keyHeads, columns]],
        ] as [string, number[]][])),
    ['attn_output', [2, columns]],
    ...(experts > 0
      ? ([
          ['ffn_gate_inp', [experts, columns]],
          ['ffn_gate_exps', [experts, 2, columns]],
          ['ffn_up_exps', [experts, 2, columns]],
          ['ffn_down_exps', [experts, 2, inner]],
          // Experts that all tokens use, in some layers, so that there are more feed-forward tensors than layers.
          ...(layer % 2 ? [] : [['ffn_down_shexp', [2, inner]]]),
        ] as [string, number[]][])
      : ([
          ['ffn_gate', [2, columns]],
          ['ffn_up', [2, columns]],
          ['ffn_down', [2, inner]],
        ] as [string, number[]][])),
  ];
  return [
    ...(tied ? [] : [{ name: 'output.weight', shape: [8, columns] }]),
    { name: 'output_norm.weight', shape: [columns] },
    { name: 'token_embd.weight', shape: [8, columns] },
    ...Array.from({ length: layers }, (_, layer) =>
      block(layer).map(([part, shape]) => ({ name: `blk.${layer}.${part}.weight`, shape })),
    ).flat(),
  ];
}

/** Writes the model in F32 with values between -1 and 1; returns the values by tensor. */
export function writeShapeModel(file: string, model: ShapeModel): Map<string, Float32Array> {
  const tensors = shapeTensors(model);
  const values = new Map(
    tensors.map(({ name, shape }) => [
      name,
      new Float32Array(shape.reduce((product, size) => product * size, 1)).map((_, i) => Math.sin(i * (i % 97) + name.length)),
    ]),
  );
  const layout = layOut(
    metadata(model),
    tensors.map(({ name, shape }) => ({ name, shape, type: BLOCK_TYPES.F32 })),
  );
  const bytes = new Uint8Array(layout.bytes);
  bytes.set(layout.header);
  for (const [name, floats] of values) bytes.set(new Uint8Array(floats.buffer), layout.places.get(name)?.offset);
  writeFileSync(file, bytes);
  return values;
}

function metadata({ architecture, layers, heads, keyHeads, columns, inner, experts }: ShapeModel): Map<string, GgufValue> {
  const { u32, f32, string, bool } = ggufValue;
  const entries: [string, GgufValue][] = [
    ['context_length', u32(128)],
    ['embedding_length', u32(columns)],
    ['block_count', u32(layers)],
    ['feed_forward_length', u32(inner)],
    ['attention.head_count', u32(heads)],
    ['attention.head_count_kv', u32(keyHeads)],
    ['attention.key_length', u32(HEAD_SIZE)],
    ['attention.value_length', u32(HEAD_SIZE)],
    ['attention.layer_norm_rms_epsilon', f32(1e-5)],
    ['attention.layer_norm_epsilon', f32(1e-5)],
    ['rope.dimension_count', u32(HEAD_SIZE)],
    ['use_parallel_residual', bool(true)],
    ...(experts
      ? ([
          ['expert_count', u32(experts)],
          ['expert_used_count', u32(2)],
        ] as [string, GgufValue][])
      : []),
  ];
  return new Map([
    ['general.architecture', string(architecture)],
    ...entries.map(([key, of]) => [`${architecture}.${key}`, of] as const),
    ['tokenizer.ggml.model', string('none')],
  ]);
}
