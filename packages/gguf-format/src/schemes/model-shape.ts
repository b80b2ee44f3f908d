import type { ModelFacts, OutputTensor } from '@calibrant/core';
import { blockOf } from '../models/tensor-names.js';

/** Facts of a model that mixtures decide by, taken from its tensors, because every family's config names them otherwise. */
export interface ModelShape {
  readonly layers: number;
  /** Attention heads that share a key and a value. */
  readonly queriesPerKey: number;
  /** 0 without experts. */
  readonly experts: number;
  readonly falcon: boolean;
  /** llama.cpp's "70B": 80 layers, in the families and with the heads by which it recognizes one. */
  readonly is70B: boolean;
  readonly tied: boolean;
}

export function modelShape(tensors: readonly OutputTensor[], { config }: ModelFacts): ModelShape {
  const layers = 1 + tensors.reduce((last, { name }) => Math.max(last, blockOf(name)), -1);
  const queriesPerKey = headsPerKey(tensors);
  const family = config['model_type'];
  return {
    layers,
    queriesPerKey,
    experts: tensors.find(({ name }) => name.endsWith('ffn_gate_inp.weight'))?.shape[0] ?? 0,
    falcon: family === 'falcon',
    is70B: layers === 80 && ((['llama', 'mistral'].includes(String(family)) && queriesPerKey !== 1) || family === 'qwen2'),
    tied: !tensors.some(({ name }) => name === 'output.weight'),
  };
}

/** From the rows of the first projections of queries and keys; of a fused one, from its rows and the columns of the attention's output. */
function headsPerKey(tensors: readonly OutputTensor[]): number {
  const first = (part: string) => tensors.find(({ name }) => name.endsWith(`.${part}.weight`))?.shape;
  const [query, key, fused, output] = [first('attn_q'), first('attn_k'), first('attn_qkv'), first('attn_output')];
  if (query && key) return query[0] / key[0];
  if (fused && output) return output[1] / ((fused[0] - output[1]) / 2);
  return 1;
}
