/** One way to store a tensor. */
export interface Choice {
  readonly bytes: number;
  readonly loss: number;
}

/** A point of the trade of size against loss. */
export interface TradePoint {
  readonly bytes: number;
  readonly loss: number;
}

export interface Allocation {
  /** The chosen choice of each tensor. */
  readonly chosen: readonly number[];
  readonly bytes: number;
  readonly loss: number;
  /** No allocation within the budget has less loss than this. */
  readonly bound: number;
  /** The lower convex hull of all allocations, from the smallest to the largest. */
  readonly frontier: readonly TradePoint[];
}

interface Step {
  readonly tensor: number;
  readonly to: number;
  readonly bytes: number;
  readonly gain: number;
}

/**
 * Picks one choice per tensor so that the sum of losses is small and the bytes stay within the budget (the multiple-choice knapsack problem). Steps along each
 * tensor's convex hull are taken in the order of loss saved per byte, which is optimal at every size that it passes (Lagrangian relaxation; Sinha and Zoltners
 * 1979); what is left of the budget goes to the single changes that save most. `bound` is the relaxation's optimum: the best possible lies between it and `loss`.
 *
 * @returns undefined when even the smallest choices do not fit.
 */
export function allocate(tensors: readonly (readonly Choice[])[], budget: number): Allocation | undefined {
  const hulls = tensors.map(lowerHull);
  const chosen = hulls.map(([smallest]) => smallest);
  const total = (of: (choice: Choice) => number) => chosen.reduce((sum, choice, i) => sum + of(tensors[i][choice]), 0);
  let bytes = total((choice) => choice.bytes);
  let loss = total((choice) => choice.loss);
  const frontier: TradePoint[] = [{ bytes, loss }];
  const steps = hulls.flatMap((hull, tensor) => stepsOf(tensors[tensor], hull, tensor)).sort((a, b) => b.gain / b.bytes - a.gain / a.bytes);
  if (bytes > budget) return undefined;
  let bound: number | undefined;
  let along = { bytes, loss };
  for (const step of steps) {
    if (bound === undefined && along.bytes + step.bytes <= budget) {
      chosen[step.tensor] = step.to;
      bytes += step.bytes;
      loss -= step.gain;
    } else bound ??= along.loss - (step.gain * (budget - along.bytes)) / step.bytes;
    // Differences of sums may end a rounding below nothing.
    along = { bytes: along.bytes + step.bytes, loss: Math.max(0, along.loss - step.gain) };
    frontier.push(along);
  }
  for (let change = bestChange(tensors, chosen, budget - bytes); change; change = bestChange(tensors, chosen, budget - bytes)) {
    chosen[change.tensor] = change.to;
    bytes += change.bytes;
    loss -= change.gain;
  }
  loss = total((choice) => choice.loss);
  return { chosen, bytes, loss, bound: Math.min(loss, Math.max(0, bound ?? loss)), frontier };
}

/** Indices of the choices on the lower convex hull of (bytes, loss), from the smallest on, each with less loss than the one before. */
function lowerHull(choices: readonly Choice[]): number[] {
  const order = choices.map((_, i) => i).sort((a, b) => choices[a].bytes - choices[b].bytes || choices[a].loss - choices[b].loss);
  const hull: number[] = [];
  const slope = (a: number, b: number) => (choices[a].loss - choices[b].loss) / (choices[b].bytes - choices[a].bytes);
  for (const next of order) {
    const last = hull.at(-1);
    if (last !== undefined && (choices[next].loss >= choices[last].loss || choices[next].bytes === choices[last].bytes)) continue;
    while (hull.length >= 2 && slope(hull[hull.length - 2], hull[hull.length - 1]) <= slope(hull[hull.length - 1], next)) hull.pop();
    hull.push(next);
  }
  return hull;
}

function stepsOf(choices: readonly Choice[], hull: readonly number[], tensor: number): Step[] {
  return hull.slice(1).map((to, i) => {
    const [before, after] = [choices[hull[i]], choices[to]];
    return { tensor, to, bytes: after.bytes - before.bytes, gain: before.loss - after.loss };
  });
}

/** The change of one tensor that saves most within what is left; of equal ones the first. */
function bestChange(tensors: readonly (readonly Choice[])[], chosen: readonly number[], left: number): Step | undefined {
  let best: Step | undefined;
  tensors.forEach((choices, tensor) => {
    const now = choices[chosen[tensor]];
    choices.forEach((choice, to) => {
      const [bytes, gain] = [choice.bytes - now.bytes, now.loss - choice.loss];
      if (bytes <= left && gain > (best?.gain ?? 0)) best = { tensor, to, bytes, gain };
    });
  });
  return best;
}
