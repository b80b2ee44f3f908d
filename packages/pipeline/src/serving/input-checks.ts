import { type ActivationScheme, parseActivationScheme, type Recipe, type TensorScheme } from '@calibrant/core';
import { matchesPattern } from '../plan/patterns.js';
import { schemeLabel } from '../plan/planned-bytes.js';
import type { ServedLayer } from './served-layers.js';

const KNOWN =
  'It takes int8 with symmetric int8 weights by rows (inputs by tokens, or static), fp8 with fp8, and inputs by tokens in int8 or fp8 with symmetric int4 weights';

/**
 * Pairs of grids of weights and inputs for which vLLM has no kernel, so that it does not load the model: its loader of compressed-tensors knows some pairs and refuses all others
 * (its source, 2026). Such a model can be evaluated, and transformers loads it.
 */
export function inputWarnings(layers: readonly ServedLayer[], { activations, keepActivations }: Recipe): string[] {
  if (activations === undefined) return [];
  const inputs = parseActivationScheme(activations);
  const refused = layers.flatMap(({ name, scheme }) =>
    scheme && !keepActivations.some((pattern) => matchesPattern(name, pattern)) && !taken(scheme, inputs) ? [schemeLabel(scheme)] : [],
  );
  return [...new Set(refused)].map(
    (label) =>
      `vLLM does not load weights in ${label} with inputs in ${activations}. ${KNOWN}. Keep this recipe for evaluation, or choose such a pair to serve.`,
  );
}

function taken(weights: TensorScheme, inputs: ActivationScheme): boolean {
  const byTokens = inputs.granularity === 'token';
  if (weights.kind === 'minifloat') return inputs.type === 'float' && (inputs.dynamic || inputs.granularity === 'tensor');
  if (weights.kind !== 'affine' || !weights.symmetric || inputs.bits !== 8) return false;
  if (weights.bits === 4) return byTokens && weights.granularity !== 'tensor' && (inputs.type === 'int' || weights.granularity === 'group');
  return weights.bits === 8 && weights.granularity !== 'group' && inputs.type === 'int' && (byTokens || !inputs.dynamic);
}
