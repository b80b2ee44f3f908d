import type { ModelFacts, OutputTensor } from '@calibrant/core';
import { BLOCK_TYPES, type BlockTypeName } from '../blocks/block-types.js';
import { blockOf, compareTensorNames } from '../models/tensor-names.js';
import { isQuantizable, typeForRow } from './tensor-types.js';

/** What llama-quantize calls a file type: a base type and rules that give some tensors another one. */
export interface Mixture {
  readonly base: BlockTypeName;
  /**
   * `spread`: attention values and ffn_down of the outer eighths of the layers and of every third one between become Q6_K.
   * `first`: the first four attention values and ffn_down of the first eighth of the layers become Q5_K.
   */
  readonly more?: 'spread' | 'first';
}

/** Layers that deserve more bits: the first and last eighth, and every third in between. */
function deservesMore(index: number, count: number): boolean {
  const eighth = Math.floor(count / 8);
  return index < eighth || index >= Math.floor((7 * count) / 8) || (index - eighth) % 3 === 2;
}

function sharedValues({ config }: ModelFacts): boolean {
  return config['num_key_value_heads'] !== undefined && config['num_key_value_heads'] !== config['num_attention_heads'];
}

/**
 * The type of each quantized tensor by llama-quantize's rules, for the architectures that this package converts. The counters run over the
 * tensors in llama-quantize's order, so the given order is irrelevant.
 */
export function mixtureTypes(tensors: readonly OutputTensor[], facts: ModelFacts, { base, more }: Mixture): Map<string, BlockTypeName> {
  const ordered = [...tensors].sort((a, b) => compareTensorNames(a.name, b.name));
  const blocks = Number(facts.config['num_hidden_layers'] ?? 1 + Math.max(-1, ...ordered.map(({ name }) => blockOf(name))));
  const values = ordered.filter(({ name }) => name.includes('attn_v.weight')).length;
  const tied = !ordered.some(({ name }) => name === 'output.weight');
  const types = new Map<string, BlockTypeName>();
  let [valueIndex, downIndex] = [0, 0];
  for (const tensor of ordered) {
    if (!isQuantizable(tensor)) continue;
    const { name } = tensor;
    const columns = tensor.shape.at(-1) ?? 1;
    let type = base;
    if (name === 'output.weight' || (name === 'token_embd.weight' && tied)) {
      if (columns % BLOCK_TYPES[base].blockSize !== 0) type = 'Q8_0';
      else if (base !== 'Q8_0') type = 'Q6_K';
    } else if (name.includes('attn_v.weight')) {
      if (more === 'spread' && deservesMore(valueIndex, values)) type = 'Q6_K';
      if (more === 'first' && valueIndex < 4) type = 'Q5_K';
      // The values of Llama 70B are shared by eight heads and small: llama.cpp spends a bit more on them.
      if (type === 'Q4_K' && blocks === 80 && facts.architecture === 'llama' && sharedValues(facts)) type = 'Q5_K';
      valueIndex++;
    } else if (name.includes('ffn_down')) {
      if (more === 'spread' && deservesMore(downIndex, blocks)) type = 'Q6_K';
      if (more === 'first' && downIndex < Math.floor(blocks / 8)) type = 'Q5_K';
      downIndex++;
    }
    types.set(name, typeForRow(type, columns));
  }
  return types;
}
