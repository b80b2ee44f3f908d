import { MARLIN } from './kernel-checks.js';
import { FUSED, groupSizeOf, type LayerKind, lastPart, layerKinds, type ServedLayer, splitsInputs } from './served-layers.js';

/** What keeps a model from being split over a number of GPUs (tensor parallelism in vLLM and SGLang). */
export function tensorParallelWarnings(layers: readonly ServedLayer[], config: Readonly<Record<string, unknown>>, gpus: number): string[] {
  const faults: string[] = [];
  const heads = Number(config.num_attention_heads ?? 0);
  if (heads % gpus !== 0) faults.push(`its ${heads} attention heads do not divide by ${gpus}`);
  const kinds = layerKinds(layers);
  for (const kind of kinds) {
    const fault = splitsInputs(kind) ? inputFault(kind, gpus) : outputFault(kind, kinds, gpus);
    if (fault) faults.push(fault);
  }
  return [...new Set(faults)].map((fault) => `TP=${gpus} will not load in vLLM: ${fault}.`);
}

/** A layer whose inputs are split: each GPU must hold whole groups, and as many inputs as the kernel works on at a time. */
function inputFault(kind: LayerKind, gpus: number): string | undefined {
  const { role, shape, count, scheme } = kind;
  const [, inputs] = shape;
  const groupSize = groupSizeOf(kind);
  const what = `${role} [${shape.join(', ')}] (${count} layer${count === 1 ? '' : 's'})`;
  if (groupSize !== inputs && (inputs / groupSize) % gpus !== 0) {
    const fitting = [128, 64, 32].filter((size) => size < groupSize && inputs % (size * gpus) === 0);
    const remedy = fitting.length > 0 ? `; groups of ${fitting.join(' or ')} would` : '';
    return `the ${Math.ceil(inputs / groupSize)} groups of ${groupSize} inputs of ${what} do not divide by ${gpus}${remedy}`;
  }
  const isMarlin = scheme?.kind === 'affine' && (scheme.bits === 4 || scheme.granularity === 'group');
  if (inputs % gpus !== 0 || (isMarlin && (inputs / gpus) % MARLIN.inputs !== 0))
    return `${what} leaves ${inputs / gpus} inputs for each GPU, no multiple of ${isMarlin ? MARLIN.inputs : 1}`;
  return undefined;
}

/** A layer whose outputs are split, together with those that it is fused with. */
function outputFault(kind: LayerKind, kinds: readonly LayerKind[], gpus: number): string | undefined {
  const last = lastPart(kind.name);
  const members = FUSED.find((names) => names.includes(last));
  if (members && members[0] !== last) return undefined;
  const fused = members ? kinds.filter(({ name }) => members.includes(lastPart(name)) && sameParent(name, kind.name)) : [kind];
  const outputs = fused.reduce((sum, { shape }) => sum + shape[0], 0);
  const step = kind.scheme?.kind === 'affine' && kind.scheme.bits === 4 ? MARLIN.outputs : 1;
  if (outputs % gpus === 0 && (outputs / gpus) % step === 0) return undefined;
  return `${fused.map(({ role }) => role).join(' with ')} leaves ${outputs / gpus} outputs for each GPU, no multiple of ${step}`;
}

function sameParent(a: string, b: string): boolean {
  const roleOf = (name: string) =>
    name
      .replace(/\.weight$/, '')
      .replace(/[^.]*$/, '')
      .replace(/\.\d+\./g, '.*.');
  return roleOf(a) === roleOf(b);
}
