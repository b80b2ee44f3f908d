import type { WeightRef } from '../description.js';
import type { Node, ValueGraph } from './value-graph.js';

/**
 * The norm or linear layer whose output becomes a value, channel by channel. Channel j is made by element `rows[j]` of a norm's weight and bias, or by row `rows[j]`
 * of a linear's weight and element `rows[j]` of its bias; dividing these divides the channel.
 */
export interface Predecessor {
  readonly kind: 'norm' | 'linear';
  readonly weight: WeightRef;
  readonly bias?: WeightRef;
  /** Added to a norm's weight before it multiplies: `w + offset` becomes `(w + offset) / s`, so w becomes `(w + offset) / s − offset`. */
  readonly offset: number;
  readonly rows: Int32Array;
  /**
   * Channels that each of these rows makes: more than one when query heads share a key head (`heads / kvHeads`). All channels of one row must have the same
   * factor.
   */
  readonly sharedBy: number;
}

/**
 * Walks back from a value as long as the steps on the way commute with positive factors per channel: runs of columns, factors, gates, the `up`
 * branch of a gated activation, ReLU, and attention from its output to its values. Gives a sentence when the way ends elsewhere.
 */
export function tracePredecessor(graph: ValueGraph, value: string): Predecessor | string {
  let rows = Int32Array.from({ length: graph.width(value) }, (_, channel) => channel);
  let sharedBy = 1;
  let current = value;
  for (;;) {
    const node = graph.writer(current);
    if (!node) return `${current} comes from the residual stream, which other layers read too.`;
    if (node.op === 'norm' || node.op === 'linear') return end(graph, node, current, rows, sharedBy);
    const next = stepBack(graph, node);
    if (next.blocked !== undefined) return next.blocked;
    if (next.source) rows = rows.map(next.source);
    sharedBy *= next.repeats ?? 1;
    current = next.value;
    if (!readOnlyOnce(graph, current)) return `${current}, on the way from the layer before, is read elsewhere too.`;
  }
}

type Back =
  | {
      readonly value: string;
      /** The channel there of a channel here; the same if absent. */
      readonly source?: (channel: number) => number;
      readonly repeats?: number;
      readonly blocked?: undefined;
    }
  | { readonly blocked: string };

function stepBack(graph: ValueGraph, node: Exclude<Node, { op: 'norm' | 'linear' }>): Back {
  switch (node.op) {
    case 'scale':
    case 'gate':
    case 'route':
      return { value: node.input };
    case 'columns': {
      const { groups, start, width } = node;
      const stride = graph.width(node.input) / groups;
      return { value: node.input, source: (channel) => Math.floor(channel / width) * stride + start + (channel % width) };
    }
    case 'activation':
      if (node.up !== undefined) return { value: node.up };
      if (node.kind === 'relu') return { value: node.input };
      return { blocked: `${node.kind} stands between the layers, and f(x / s) is f(x) / s for ReLU alone.` };
    case 'attention': {
      const { heads, kvHeads, headDim } = node.attributes;
      const repeats = heads / kvHeads;
      const source = (channel: number): number => Math.floor(channel / headDim / repeats) * headDim + (channel % headDim);
      return { value: node.value, source, repeats };
    }
    case 'add':
      return { blocked: `${node.output} comes from the residual stream, which other layers read too.` };
    default:
      return { blocked: `The step "${node.op}" stands between the layers.` };
  }
}

function end(
  graph: ValueGraph,
  node: Extract<Node, { op: 'norm' | 'linear' }>,
  value: string,
  rows: Int32Array,
  sharedBy: number,
): Predecessor | string {
  const { op: kind, weight, bias } = node;
  if (kind === 'norm' && weight.shape[0] !== graph.width(value)) return `${weight.name} serves several runs of channels at once.`;
  const offset = kind === 'norm' ? (node.offset ?? 0) : 0;
  return { kind, weight, ...(bias ? { bias } : {}), offset, rows, sharedBy };
}

/** Whether one step reads a value, or several that read columns of their own each. */
function readOnlyOnce(graph: ValueGraph, value: string): boolean {
  const readers = graph.readers(value);
  if (readers.length === 1) return true;
  const runs = readers.map((reader) => (reader.op === 'columns' ? reader : undefined)).sort((a, b) => (a?.start ?? 0) - (b?.start ?? 0));
  return runs.every((run, i) => {
    const next = runs[i + 1];
    return run && run.groups === runs[0]?.groups && (i + 1 === runs.length || (next && run.start + run.width <= next.start));
  });
}
