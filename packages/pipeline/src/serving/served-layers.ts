import type { TensorScheme } from '@calibrant/core';
import { schemeLabel } from '../plan/planned-bytes.js';

/** A linear layer of a model that is to be served. */
export interface ServedLayer {
  /** `model.layers.0.mlp.down_proj.weight` */
  readonly name: string;
  /** `[out, in]` */
  readonly shape: readonly number[];
  /** Its grid; undefined in floating point. */
  readonly scheme: TensorScheme | undefined;
  readonly ordered?: boolean;
}

/** Layers of all blocks that are alike: same place in the block, same sizes, same grid. */
export interface LayerKind extends ServedLayer {
  /** `mlp.down_proj` */
  readonly role: string;
  readonly count: number;
}

/** Layers of one block that servers load as a single matrix, by the last parts of their names. */
export const FUSED: readonly (readonly string[])[] = [
  ['q_proj', 'k_proj', 'v_proj'],
  ['gate_proj', 'up_proj'],
];

/** Layers whose inputs are split among GPUs; all others have their outputs split. */
const ROW_PARALLEL = /^(o_proj|down_proj|out_proj|dense|c_proj|w2|dense_4h_to_h)$/;

export function lastPart(name: string): string {
  return name.replace(/\.weight$/, '').replace(/^.*\./, '');
}

export function splitsInputs(layer: ServedLayer): boolean {
  return ROW_PARALLEL.test(lastPart(layer.name));
}

/** The kinds of quantized layers, in the order in which they come first. */
export function layerKinds(layers: readonly ServedLayer[]): LayerKind[] {
  const kinds = new Map<string, LayerKind>();
  for (const layer of layers) {
    if (!layer.scheme) continue;
    const role = layer.name
      .replace(/\.weight$/, '')
      .replace(/^.*?\.\d+\./, '')
      .replace(/\.\d+\./g, '.*.');
    const key = `${role} ${layer.shape} ${schemeLabel(layer.scheme)} ${layer.ordered ?? false}`;
    kinds.set(key, { ...layer, role, count: (kinds.get(key)?.count ?? 0) + 1 });
  }
  return [...kinds.values()];
}

/** Inputs per scale of a layer's grid; the whole row where it has one scale. */
export function groupSizeOf({ scheme, shape }: ServedLayer): number {
  if (scheme?.kind === 'minifloat' && scheme.blockShape) return scheme.blockShape[1];
  return scheme?.kind === 'affine' && scheme.granularity === 'group' ? (scheme.groupSize ?? shape[1]) : shape[1];
}
