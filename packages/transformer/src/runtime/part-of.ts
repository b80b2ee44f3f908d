import { inputsOf, type Step } from '../description.js';

/** A value that depends on one other value alone, and the steps from there to it. */
export interface Part {
  readonly result: string;
  readonly steps: readonly Step[];
}

/**
 * What a list of steps computes from one value and nothing else but weights: the values at its border, which meet others (the residual connection) or are the end. The
 * input of attention gives the attention's output, that of an MLP the MLP's, that of a parallel block both.
 */
export function partOf(steps: readonly Step[], from: string): Part[] {
  const inside = new Map<string, Step | undefined>([[from, undefined]]);
  const border = new Set<string>();
  for (const step of steps) {
    const inputs = inputsOf(step);
    const known = inputs.filter((name) => inside.has(name));
    if (known.length === inputs.length) inside.set(step.output, step);
    else for (const name of known) border.add(name);
  }
  const read = new Set(steps.flatMap(inputsOf));
  for (const name of inside.keys()) if (!read.has(name)) border.add(name);
  border.delete(from);
  return [...border].map((result) => ({ result, steps: ancestors(steps, inside, result) }));
}

/** The steps inside the part that a value needs, in their order. */
function ancestors(steps: readonly Step[], inside: ReadonlyMap<string, Step | undefined>, result: string): Step[] {
  const needed = new Set<Step>();
  const visit = (name: string): void => {
    const step = inside.get(name);
    if (!step || needed.has(step)) return;
    needed.add(step);
    inputsOf(step).forEach(visit);
  };
  visit(result);
  return steps.filter((step) => needed.has(step));
}
