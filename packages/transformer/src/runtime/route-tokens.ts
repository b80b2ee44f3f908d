/** The tokens of one expert, ascending, and the factors of its outputs. */
export interface Route {
  readonly tokens: Int32Array;
  readonly weights: Float32Array;
}

/**
 * Chooses each token's experts: the `topK` largest of a row of router logits (of equals, the lower expert), weighted by the softmax over all experts,
 * divided by the sum over the chosen ones if `normalized`. In f64; the weights are rounded to f32.
 */
export function routeTokens(logits: Float32Array, experts: number, topK: number, normalized: boolean): Route[] {
  const routes = Array.from({ length: experts }, () => ({ tokens: [] as number[], weights: [] as number[] }));
  for (let token = 0; token < logits.length / experts; token++) {
    const row = logits.subarray(token * experts, (token + 1) * experts);
    const max = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const shares = Array.from(row, (logit) => Math.exp(logit - max));
    const chosen = largest(row, topK);
    const whole = (normalized ? chosen.map((expert) => shares[expert]) : shares).reduce((a, b) => a + b, 0);
    for (const expert of chosen) {
      routes[expert].tokens.push(token);
      routes[expert].weights.push(shares[expert] / whole);
    }
  }
  return routes.map(({ tokens, weights }) => ({ tokens: Int32Array.from(tokens), weights: Float32Array.from(weights) }));
}

/** The indices of the k largest values, the lower of equals first. NaN counts as smaller than everything. */
function largest(values: Float32Array, k: number): number[] {
  const rank = (index: number): number => (Number.isNaN(values[index]) ? -Infinity : values[index]);
  return Array.from(values.keys())
    .sort((a, b) => (rank(b) > rank(a) ? 1 : rank(b) < rank(a) ? -1 : a - b))
    .slice(0, k);
}
