import { CalibrantError } from '@calibrant/core';
import type { Arrangement, GgufArchitecture, TensorRule } from './architecture.js';
import type { Json } from './model-config.js';
import { textName } from './text-model.js';

/** Tensors of checkpoints that are computed from the config when a model runs. */
const RECOMPUTED = /\.(attention|attn)\.(masked_bias|bias)$|\.rotary_emb\.inv_freq$/;

/** Where a checkpoint's tensor goes. */
export interface Place {
  readonly name: string;
  readonly as: Arrangement | undefined;
  /** Its number among those that are stacked. */
  readonly index?: number;
}

/** Where a file's tensor comes from; `#` in `source` stands for the numbers of what is stacked. */
export interface Origin {
  readonly source: string;
  readonly as: Arrangement | undefined;
}

/** Names of one model's tensors, both ways. */
export interface TensorNames {
  /**
   * The place of a checkpoint's tensor; undefined for those that a GGUF file does without.
   *
   * @throws CalibrantError `UNSUPPORTED` for a tensor that has no place.
   */
  place(source: string): Place | undefined;
  /** undefined when a checkpoint of the architecture has no such tensor. */
  origin(name: string): Origin | undefined;
}

export function tensorNames(architecture: GgufArchitecture, config: Json): TensorNames {
  const { blocks, outside, optionalPrefix } = architecture;
  const inBlock = architecture.inBlock(config);
  const find = (rules: readonly TensorRule[], at: 0 | 1, stem: string) => rules.find((rule) => rule[at] === stem);
  const placeOf = (source: string): Place | undefined => {
    const [, stem, kind] = /^(.+)\.(weight|bias)$/.exec(source) ?? [];
    if (stem === undefined) return undefined;
    const block = stem.startsWith(blocks) ? /^(\d+)\.(.+)$/.exec(stem.slice(blocks.length)) : null;
    if (!block) {
      const rule = find(outside, 1, stem);
      return rule && { name: `${rule[0]}.${kind}`, as: rule[2] };
    }
    const [, layer, rest] = block;
    const [, index] = /\.(\d+)(?:\.|$)/.exec(rest) ?? [];
    const rule = find(inBlock, 1, rest.replace(/\.\d+(?=\.|$)/, '.#'));
    return rule && { name: `blk.${layer}.${rule[0]}.${kind}`, as: rule[2], ...(index === undefined ? {} : { index: Number(index) }) };
  };
  return {
    place(source) {
      if (RECOMPUTED.test(source)) return undefined;
      const name = textName(source);
      const found = placeOf(name) ?? (optionalPrefix === undefined ? undefined : placeOf(optionalPrefix + name));
      if (found) return found;
      throw new CalibrantError(
        'UNSUPPORTED',
        `The tensor "${source}" has no name in GGUF for architecture ${architecture.name}, so the model cannot be converted.`,
        { tensor: source },
      );
    },
    origin(name) {
      const [, layer, stem, kind] = /^(?:blk\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name) ?? [];
      const rule = stem === undefined ? undefined : find(layer === undefined ? outside : inBlock, 0, stem);
      return rule && { source: `${layer === undefined ? '' : `${blocks}${layer}.`}${rule[1]}.${kind}`, as: rule[2] };
    },
  };
}

/** The block that a GGUF tensor belongs to, −1 for none. */
export function blockOf(name: string): number {
  const match = /^blk\.(\d+)\./.exec(name);
  return match ? Number(match[1]) : -1;
}

/** The order of llama-quantize: by block, tensors outside blocks first, then by the bytes of the name. */
export function compareTensorNames(a: string, b: string): number {
  return blockOf(a) - blockOf(b) || (a < b ? -1 : a > b ? 1 : 0);
}
