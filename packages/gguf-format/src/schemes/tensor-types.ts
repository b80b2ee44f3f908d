import type { BlockScheme, FloatScheme, TensorScheme } from '@calibrant/core';
import { BLOCK_TYPES, type BlockTypeName } from '../blocks/block-types.js';
import { refinedEncoderOf } from '../blocks/refined.js';
import { ggmlTypeNamed } from '../file/ggml-types.js';
import { blockIntegers } from '../grids/block-integers.js';
import { blockGrid } from '../grids/grids.js';
import type { TypeName } from './mixture.js';

const FLOATS: Readonly<Record<string, FloatScheme>> = {
  F32: { kind: 'float', dtype: 'f32' },
  F16: { kind: 'float', dtype: 'f16' },
  BF16: { kind: 'float', dtype: 'bf16' },
};

/** How blocks are searched: `ggml` gives the bytes of ggml, `refined` searches longer for better ones in the same layout. */
export const SEARCHES = ['ggml', 'refined'] as const;
export type Search = (typeof SEARCHES)[number];

export interface SchemeChoices {
  /** Refuse to go without importance. */
  readonly needsImportance?: boolean;
  /** `ggml` if absent. Types without a refined search keep ggml's. */
  readonly search?: Search | undefined;
}

/** The grid of a GGUF type. */
export function schemeOf(name: BlockTypeName, { needsImportance = false, search = 'ggml' }: SchemeChoices = {}): TensorScheme {
  const { blockSize, blockBytes, encode, decode, ...type } = BLOCK_TYPES[name];
  const grid = blockGrid(name);
  const integers = blockIntegers(name);
  const block: BlockScheme = {
    kind: 'block',
    type: name,
    blockSize,
    blockBytes,
    needsImportance: needsImportance || type.needsImportance,
    encode: (search === 'refined' ? refinedEncoderOf(name) : undefined) ?? encode,
    decode,
    ...(grid ? { grid } : {}),
    ...(integers ? { integers } : {}),
  };
  return FLOATS[name] ?? block;
}

/** The GGUF type that stores a grid; undefined when none does. */
export function typeOfScheme(scheme: TensorScheme): (typeof BLOCK_TYPES)[BlockTypeName] | undefined {
  if (scheme.kind === 'affine' || scheme.kind === 'minifloat') return undefined;
  const name = scheme.kind === 'float' ? scheme.dtype : scheme.type;
  return Object.values(BLOCK_TYPES).find((type) => type.name.toLowerCase() === name.toLowerCase());
}

/** Matrices that llama.cpp leaves alone because they are small or sensitive, whatever their family. */
const LEFT_ALONE =
  /_norm\.weight|ffn_gate_inp\.weight|ffn_gate_tid2eid|altup|laurel|per_layer_model_proj|ssm_conv1d|shortconv\.conv\.weight|time_mix_(first|[wva]\d|g[12]|decay_w\d|lerp_fused)\.weight|attn_rel_b\.weight|position_embd|token_types\.weight/;

/** Whether llama.cpp would quantize a tensor at all: matrices of several rows named `weight` that are neither norms nor gates of experts nor positions. */
export function isQuantizable({ name, shape }: { readonly name: string; readonly shape: readonly number[] }): boolean {
  return shape.slice(0, -1).some((size) => size > 1) && name.endsWith('weight') && !LEFT_ALONE.test(name);
}

/** Where a type's blocks do not divide a row: llama.cpp's next choice with smaller blocks; codebook types go to IQ4_NL. */
const FALLBACK: Readonly<Record<string, TypeName>> = {
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
  Q2_0: 'Q4_0',
  Q2_K: 'Q4_0',
  Q3_K: 'Q4_0',
  TQ1_0: 'Q4_0',
  TQ2_0: 'Q4_0',
};

/** The type itself, its next choice, or F16 where that does not fit either. */
export function typeForRow(type: TypeName, columns: number): TypeName {
  const fits = (name: TypeName) => columns % blockSizeOf(name) === 0;
  if (fits(type)) return type;
  const next = FALLBACK[type] ?? (/^IQ\d/.test(type) ? 'IQ4_NL' : undefined);
  return next && fits(next) ? next : 'F16';
}

/** Elements per block of any type of ggml. */
export function blockSizeOf(type: TypeName): number {
  return ggmlTypeNamed(type)?.blockSize ?? 1;
}
