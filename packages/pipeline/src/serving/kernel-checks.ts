import { schemeLabel } from '../plan/planned-bytes.js';
import { FUSED, groupSizeOf, type LayerKind, lastPart, layerKinds, type ServedLayer } from './served-layers.js';

/** Sizes that vLLM's Marlin kernels take: outputs and inputs of what one GPU holds. */
export const MARLIN = { outputs: 64, inputs: 128 } as const;
const MARLIN_GROUPS = [32, 64, 128];

/** What keeps layers from the fast kernels of vLLM and SGLang, or from loading at all, on one GPU. */
export function kernelWarnings(layers: readonly ServedLayer[], format: string): string[] {
  return [...new Set([...disagreements(layers), ...layerKinds(layers).flatMap((kind) => kindWarnings(kind, format))])];
}

/** Members of fused layers on different grids: servers put them into one matrix. */
function disagreements(layers: readonly ServedLayer[]): string[] {
  const found = new Map<string, number>();
  const byParent = new Map<string, ServedLayer[]>();
  for (const layer of layers) {
    const parent = layer.name.replace(/\.weight$/, '').replace(/[^.]*$/, '');
    byParent.set(parent, [...(byParent.get(parent) ?? []), layer]);
  }
  for (const siblings of byParent.values())
    for (const members of FUSED) {
      const present = siblings.filter(({ name }) => members.includes(lastPart(name)));
      const grids = new Set(present.map(({ scheme }) => (scheme ? schemeLabel(scheme) : 'unquantized')));
      if (grids.size < 2) continue;
      const what = present.map(({ name, scheme }) => `${lastPart(name)} ${scheme ? schemeLabel(scheme) : 'unquantized'}`).join(', ');
      found.set(what, (found.get(what) ?? 0) + 1);
    }
  return [...found].map(
    ([what, count]) =>
      `vLLM and SGLang load ${what} as one matrix, which needs one grid (${count} block${count === 1 ? '' : 's'}). Give them the same scheme, or keep all of them.`,
  );
}

function kindWarnings(kind: LayerKind, format: string): string[] {
  const { scheme, shape, role, count } = kind;
  const what = `${role} [${shape.join(', ')}] (${count} layer${count === 1 ? '' : 's'})`;
  if (lastPart(kind.name) === 'lm_head')
    return [
      `${role} is quantized as ${scheme && schemeLabel(scheme)}: several servers refuse a quantized output projection. Keep it (recipe.keep) unless yours takes it.`,
    ];
  if (scheme?.kind !== 'affine') return [];
  const warnings: string[] = [];
  const { bits, symmetric } = scheme;
  const packed = format === 'gptq' || format === 'awq' || bits !== 8 || scheme.granularity === 'group';
  if (format === 'gptq' && (!symmetric || (bits !== 4 && bits !== 8)))
    warnings.push(
      `GPTQ in ${schemeLabel(scheme)} runs in vLLM by its older kernel alone (float16 activations, no mixtures of experts): the fast one takes symmetric 4 and 8 bits.`,
    );
  else if (format !== 'gptq' && format !== 'awq' && bits !== 4 && bits !== 8)
    warnings.push(`Integers of ${bits} bits in compressed-tensors load in vLLM releases of 2026 alone: earlier ones take 4 and 8 bits.`);
  else if (packed) {
    const groupSize = groupSizeOf(kind);
    if (shape[0] % MARLIN.outputs !== 0 || shape[1] % MARLIN.inputs !== 0)
      warnings.push(
        `The fast kernels of vLLM and SGLang (Marlin) need outputs in multiples of ${MARLIN.outputs} and inputs of ${MARLIN.inputs}: ${what} will run slower or not load.`,
      );
    else if (groupSize !== shape[1] && !MARLIN_GROUPS.includes(groupSize))
      warnings.push(
        `The fast kernels of vLLM and SGLang (Marlin) take groups of 32, 64 or 128 inputs or one scale per row, not ${groupSize}.`,
      );
  }
  return warnings;
}
