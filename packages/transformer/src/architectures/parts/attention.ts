import type { AttentionAttributes } from '@calibrant/core';
import type { Step } from '../../description.js';
import type { DecoderSizes } from './sizes.js';
import { linear } from './steps.js';

export interface AttentionPart {
  /** Start of the tensors' names: `model.layers.0.self_attn`. */
  readonly prefix: string;
  readonly sizes: DecoderSizes;
  /** The value that is projected; `attentionInput` if absent. */
  readonly input?: string;
  /**
   * Names of the projections. A fused one holds, for each of `groups` groups of heads, the group's queries, keys and values: one group when all
   * queries come first, as many as key heads when each key head follows its queries.
   */
  readonly projections:
    | { readonly query: string; readonly key: string; readonly value: string; readonly output: string }
    | { readonly fused: string; readonly groups: number; readonly output: string };
  readonly bias?: { readonly qkv?: boolean; readonly output?: boolean };
  readonly transposed?: boolean;
  /** A norm of queries and keys before they turn. */
  readonly norm?: (input: string, output: string, which: 'query' | 'key') => Step;
  readonly rope?: { readonly table: string; readonly style: 'half' | 'interleaved' };
  readonly alibi?: boolean;
  /** The factor of q·k is `1 / sqrt(headDim)` if absent. */
  readonly attributes?: Partial<Pick<AttentionAttributes, 'scale' | 'window' | 'softcap'>>;
}

/** Self-attention, from its input to the value `attentionProjected`. */
export function attention(part: AttentionPart): Step[] {
  const { prefix, sizes, projections, bias = {}, transposed = false, norm, rope, alibi, attributes } = part;
  const { hiddenSize, heads, kvHeads, headDim } = sizes;
  const steps = project(part);
  let [query, key] = ['query', 'key'];
  if (norm) {
    steps.push(norm(query, 'queryNormed', 'query'), norm(key, 'keyNormed', 'key'));
    [query, key] = ['queryNormed', 'keyNormed'];
  }
  if (rope) {
    steps.push(
      { op: 'rope', input: query, output: 'queryTurned', headDim, ...rope },
      { op: 'rope', input: key, output: 'keyTurned', headDim, ...rope },
    );
    [query, key] = ['queryTurned', 'keyTurned'];
  }
  const { scale = 1 / Math.sqrt(headDim), window, softcap } = attributes ?? {};
  steps.push(
    {
      op: 'attention',
      query,
      key,
      value: 'value',
      output: 'attentionOutput',
      attributes: {
        heads,
        kvHeads,
        headDim,
        scale,
        ...(window === undefined ? {} : { window }),
        ...(softcap === undefined ? {} : { softcap }),
      },
      ...(alibi ? { alibi } : {}),
    },
    linear({
      input: 'attentionOutput',
      output: 'attentionProjected',
      name: `${prefix}.${projections.output}`,
      shape: [hiddenSize, heads * headDim],
      bias: bias.output ?? false,
      transposed,
    }),
  );
  return steps;
}

/** The steps from the input to the values `query`, `key` and `value`. */
function project({ prefix, sizes, input = 'attentionInput', projections, bias = {}, transposed = false }: AttentionPart): Step[] {
  const { hiddenSize, heads, kvHeads, headDim } = sizes;
  const project = (output: string, name: string, rows: number): Step =>
    linear({ input, output, name: `${prefix}.${name}`, shape: [rows, hiddenSize], bias: bias.qkv ?? false, transposed });
  if (!('fused' in projections)) {
    return [
      project('query', projections.query, heads * headDim),
      project('key', projections.key, kvHeads * headDim),
      project('value', projections.value, kvHeads * headDim),
    ];
  }
  const { fused, groups } = projections;
  const queries = (heads / groups) * headDim;
  const keys = (kvHeads / groups) * headDim;
  return [
    project('queryKeyValue', fused, groups * (queries + 2 * keys)),
    { op: 'columns', input: 'queryKeyValue', output: 'query', groups, start: 0, width: queries },
    { op: 'columns', input: 'queryKeyValue', output: 'key', groups, start: queries, width: keys },
    { op: 'columns', input: 'queryKeyValue', output: 'value', groups, start: queries + keys, width: keys },
  ];
}
