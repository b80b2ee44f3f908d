import type { BlockScheme, FloatScheme, TensorScheme } from '@calibrant/core';
import { BLOCK_TYPES, type BlockTypeName } from '../blocks/block-types.js';
import { blockGrid } from '../grids/grids.js';

const FLOATS: Readonly<Record<string, FloatScheme>> = {
  F32: { kind: 'float', dtype: 'f32' },
  F16: { kind: 'float', dtype: 'f16' },
  BF16: { kind: 'float', dtype: 'bf16' },
};

/** The grid of a GGUF type. */
export function schemeOf(name: BlockTypeName): TensorScheme {
  const { blockSize, blockBytes, encode, decode } = BLOCK_TYPES[name];
  const grid = blockGrid(name);
  const block: BlockScheme = { kind: 'block', type: name, blockSize, blockBytes, encode, decode, ...(grid ? { grid } : {}) };
  return FLOATS[name] ?? block;
}

/** The GGUF type that stores a grid; undefined when none does. */
export function typeOfScheme(scheme: TensorScheme): (typeof BLOCK_TYPES)[BlockTypeName] | undefined {
  if (scheme.kind === 'affine') return undefined;
  const name = scheme.kind === 'float' ? scheme.dtype : scheme.type;
  return Object.values(BLOCK_TYPES).find((type) => type.name.toLowerCase() === name.toLowerCase());
}

/** Whether llama.cpp would quantize a tensor at all: matrices named `weight` that are neither norms nor position tables. */
export function isQuantizable({ name, shape }: { readonly name: string; readonly shape: readonly number[] }): boolean {
  return shape.length >= 2 && name.endsWith('weight') && !/(_norm|ffn_gate_inp|position_embd|token_types)\.weight$/.test(name);
}

/** Where a type's blocks do not divide a row: llama.cpp's next choice of 32-blocks (for Q5_K it takes Q5_1, which is not here yet), then F16. */
const FALLBACK: Partial<Record<BlockTypeName, BlockTypeName>> = { Q4_K: 'Q5_0', Q5_K: 'Q8_0', Q6_K: 'Q8_0' };

export function typeForRow(type: BlockTypeName, columns: number): BlockTypeName {
  const fits = (name: BlockTypeName) => columns % BLOCK_TYPES[name].blockSize === 0;
  if (fits(type)) return type;
  const next = FALLBACK[type];
  return next && fits(next) ? next : 'F16';
}
