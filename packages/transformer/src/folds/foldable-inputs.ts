import type { ArchitectureDescription, Step, WeightRef } from '../description.js';
import { weightsOf } from '../description.js';
import { type Predecessor, tracePredecessor } from './predecessor.js';
import { type ValueGraph, valueGraph } from './value-graph.js';

/** A linear layer that reads a foldable input: its column j belongs to channel j. */
export interface FoldedLinear {
  readonly weight: WeightRef;
  readonly bias?: WeightRef;
  /** The observation point at which its input can be seen: for an expert, the tokens that are routed to it. */
  readonly point: string;
  /** A router or gate: never quantized, but its columns must follow when channels are scaled. */
  readonly decides?: true;
}

/**
 * A value that linear layers read, and what stands before it: where factors per channel can be moved from the one to the others without a change of
 * the function. With factors `s[j] > 0`, divide what makes channel j (see {@link Predecessor}) by `s[j]`, and multiply column j of every weight in
 * `linears` by `s[j]`.
 */
export interface FoldableInput {
  /** The block, or `head` for the input of the output projection. */
  readonly block: number | 'head';
  /** Name of the value inside the block. */
  readonly value: string;
  /** Observation points at which it can be seen, all of it or the tokens of one expert. */
  readonly points: readonly string[];
  readonly width: number;
  /** Whether its channels are the dimensions of the residual stream: the stream itself, or a norm of it. */
  readonly residual: boolean;
  /** All linears that read it, routers, gates and the layers of all experts among them. */
  readonly linears: readonly FoldedLinear[];
  /** Where the factors can go; undefined when there is no such place, see `reason`. */
  readonly previous?: Predecessor;
  /** Why there is no `previous`, as a sentence. */
  readonly reason?: string;
}

/**
 * The inputs of all linear layers of a model in the order of computation, with the norm or linear layer that factors per channel can be folded into: what SmoothQuant (arXiv
 * 2211.10438), AWQ (arXiv 2306.00978) and the like need to know of an architecture. Only exact folds are given: the predecessor's weight serves this
 * value alone, everything that reads the value is a linear layer, and everything in between commutes with positive factors.
 */
export function foldableInputs(description: ArchitectureDescription): FoldableInput[] {
  const { blocks, head, hiddenSize } = description;
  const uses = countUses(description);
  const inBlocks = blocks.flatMap((steps, block) => inputsOfList(steps, block, hiddenSize, uses));
  // The output projection is no step of the head's list; as one it is a linear layer like others.
  const projection: Step = {
    op: 'linear',
    input: head.steps.at(-1)?.output ?? 'hidden',
    output: 'logits',
    weight: head.weight,
    ...(head.bias ? { bias: head.bias } : {}),
  };
  return [...inBlocks, ...inputsOfList([...head.steps, projection], 'head', hiddenSize, uses)];
}

type Uses = ReadonlyMap<string, number>;

function countUses({ embedding, blocks, head }: ArchitectureDescription): Uses {
  const all = [embedding.weight, head.weight, ...[embedding.steps ?? [], ...blocks, head.steps].flatMap(weightsOf)];
  const uses = new Map<string, number>();
  for (const { name } of all) uses.set(name, (uses.get(name) ?? 0) + 1);
  return uses;
}

function inputsOfList(steps: readonly Step[], block: number | 'head', hiddenSize: number, uses: Uses): FoldableInput[] {
  const graph = valueGraph(steps, hiddenSize);
  const found = new Map<string, FoldedLinear[]>();
  for (const node of graph.nodes) {
    if (node.op !== 'linear') continue;
    const { input, weight, bias, decides } = node;
    const value = beforeRoutes(graph, input);
    const linear = { weight, point: input, ...(bias ? { bias } : {}), ...(decides ? { decides } : {}) };
    found.set(value, [...(found.get(value) ?? []), linear]);
  }
  return [...found].map(([value, linears]) => ({
    block,
    value,
    points: [...new Set(linears.map(({ point }) => point))],
    width: graph.width(value),
    residual: isResidual(graph, value),
    linears,
    ...placeFor(graph, value, linears, uses),
  }));
}

/** The value that is routed to an expert, for the expert's input. */
function beforeRoutes(graph: ValueGraph, value: string): string {
  const node = graph.writer(value);
  return node?.op === 'route' ? beforeRoutes(graph, node.input) : value;
}

/** Whether a value is the residual stream up to norms and factors. */
function isResidual(graph: ValueGraph, value: string): boolean {
  let node = graph.writer(value);
  while (node && (node.op === 'norm' || node.op === 'scale' || node.op === 'route')) node = graph.writer(node.input);
  return !node || node.op === 'add' || node.op === 'positions';
}

function placeFor(
  graph: ValueGraph,
  value: string,
  linears: readonly FoldedLinear[],
  uses: Uses,
): Pick<FoldableInput, 'previous' | 'reason'> {
  const other = otherReader(graph, value);
  if (other) return { reason: `${value} is read by ${other} too, which no factor may reach.` };
  const previous = tracePredecessor(graph, value);
  if (typeof previous === 'string') return { reason: previous };
  const shared = [previous.weight, ...linears.map(({ weight }) => weight)].find(({ name }) => (uses.get(name) ?? 0) > 1);
  if (shared) return { reason: `${shared.name} is used elsewhere too (tied weights).` };
  return { previous };
}

/** The first reader of a value that is not a linear layer, in words. */
function otherReader(graph: ValueGraph, value: string): string | undefined {
  for (const node of graph.readers(value)) {
    if (node.op === 'linear') continue;
    const inside = node.op === 'route' ? otherReader(graph, node.output) : undefined;
    if (node.op !== 'route') return node.op === 'add' ? 'the residual connection' : `the step "${node.op}"`;
    if (inside) return inside;
  }
  return undefined;
}
