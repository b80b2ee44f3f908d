import { inputsOf, type Step } from '../description.js';

/** A step, or the passage of a mixture's input to one of its experts (some rows of it, all channels). */
export type Node = Step | { readonly op: 'route'; readonly input: string; readonly output: string };

/** Who writes and who reads each value of a block, those inside experts among them. */
export interface ValueGraph {
  /** The node that writes a value; none for the block's input. */
  writer(value: string): Node | undefined;
  /** The nodes that read a value, one entry per read. */
  readers(value: string): readonly Node[];
  /** Channels of a value. */
  width(value: string): number;
  readonly nodes: readonly Node[];
}

/** Reads the graph off a list of steps; `hiddenSize` is the width of its input `hidden`. */
export function valueGraph(steps: readonly Step[], hiddenSize: number): ValueGraph {
  const nodes = flatten(steps);
  const writers = new Map(nodes.map((node) => [node.output, node]));
  const readers = new Map<string, Node[]>();
  for (const node of nodes) for (const value of readsOf(node)) readers.set(value, [...(readers.get(value) ?? []), node]);
  return {
    nodes,
    writer: (value) => writers.get(value),
    readers: (value) => readers.get(value) ?? [],
    width(value) {
      let node = writers.get(value);
      while (node) {
        if (node.op === 'linear') return node.weight.shape[0];
        if (node.op === 'columns') return node.groups * node.width;
        if (node.op === 'attention') return node.attributes.heads * node.attributes.headDim;
        node = writers.get(node.op === 'add' ? node.a : node.input);
      }
      return hiddenSize;
    },
  };
}

function flatten(steps: readonly Step[]): Node[] {
  return steps.flatMap((step): Node[] => {
    if (step.op !== 'mixture') return [step];
    const inside = step.experts.flatMap(({ input, steps: own }): Node[] => [
      { op: 'route', input: step.input, output: input },
      ...flatten(own),
    ]);
    return [...inside, step];
  });
}

/** A mixture itself reads its router alone: its input goes to the experts by routes. */
function readsOf(node: Node): string[] {
  if (node.op === 'route') return [node.input];
  return node.op === 'mixture' ? [node.router] : inputsOf(node);
}
