import { CalibrantError, type ModelFacts, type PlannedTensor } from '@calibrant/core';

/**
 * `model.layers.0.self_attn.q_proj` of a linear layer's weight.
 *
 * @param format for the message
 * @throws CalibrantError `UNSUPPORTED` for a tensor that is no linear layer's weight.
 */
export function linearModule({ name, source, shape }: PlannedTensor, facts: ModelFacts, format: string): string {
  const linear = name === 'lm_head.weight' || (source !== undefined && facts.linears.has(source));
  if (linear && shape.length === 2 && name.endsWith('.weight')) return moduleName(name);
  throw new CalibrantError(
    'UNSUPPORTED',
    `${format} quantizes the weights of linear layers, and ${name} [${shape.join(', ')}] is none. Keep it unquantized (recipe.keep).`,
    { tensor: name, option: 'recipe.keep' },
  );
}

export function moduleName(weight: string): string {
  return weight.replace(/\.weight$/, '');
}

/**
 * Every linear layer that stays as it is, sorted. `lm_head` is always one unless it is quantized: with tied embeddings the module exists although no
 * tensor has its name. Matrices of other modules (a router, say) are named too.
 */
export function keptModules(plan: readonly PlannedTensor[], facts: ModelFacts): string[] {
  const quantized = new Set(plan.filter(({ scheme }) => scheme.kind !== 'float').map(({ name }) => moduleName(name)));
  const kept = new Set<string>(['lm_head']);
  for (const { name, source, shape } of plan) {
    const matrix = shape.length === 2 && name.endsWith('.weight') && !/(^|\.)(embed\w*|wte|wpe|word_embeddings)\.weight$/.test(name);
    if (matrix || (source !== undefined && facts.linears.has(source))) kept.add(moduleName(name));
  }
  return [...kept].filter((module) => !quantized.has(module)).sort();
}
