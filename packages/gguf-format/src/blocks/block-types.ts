import { CalibrantError } from '@calibrant/core';
import { BF16 } from './bf16.js';
import type { BlockType } from './block-type.js';
import { F16 } from './f16.js';
import { F32 } from './f32.js';
import { IQ1_M } from './iq1-m.js';
import { IQ1_S } from './iq1-s.js';
import { IQ2_S } from './iq2-s.js';
import { IQ2_XS } from './iq2-xs.js';
import { IQ2_XXS } from './iq2-xxs.js';
import { IQ3_S } from './iq3-s.js';
import { IQ3_XXS } from './iq3-xxs.js';
import { IQ4_NL } from './iq4-nl.js';
import { IQ4_XS } from './iq4-xs.js';
import { MXFP4 } from './mxfp4.js';
import { NVFP4 } from './nvfp4.js';
import { Q1_0 } from './q1-0.js';
import { Q2_0 } from './q2-0.js';
import { Q2_K } from './q2-k.js';
import { Q3_K } from './q3-k.js';
import { Q4_0 } from './q4-0.js';
import { Q4_1 } from './q4-1.js';
import { Q4_K } from './q4-k.js';
import { Q5_0 } from './q5-0.js';
import { Q5_1 } from './q5-1.js';
import { Q5_K } from './q5-k.js';
import { Q6_K } from './q6-k.js';
import { Q8_0 } from './q8-0.js';
import { TQ1_0 } from './tq1-0.js';
import { TQ2_0 } from './tq2-0.js';

/** The tensor types that this package encodes and decodes, by ggml's name. Every encoding equals ggml's byte for byte. */
export const BLOCK_TYPES = {
  F32,
  F16,
  BF16,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q8_0,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
  IQ1_S,
  IQ1_M,
  IQ2_XXS,
  IQ2_XS,
  IQ2_S,
  IQ3_XXS,
  IQ3_S,
  IQ4_NL,
  IQ4_XS,
  TQ1_0,
  TQ2_0,
  MXFP4,
  NVFP4,
  Q1_0,
  Q2_0,
} as const satisfies Record<string, BlockType>;

export type BlockTypeName = keyof typeof BLOCK_TYPES;

const byId = new Map<number, BlockType>(Object.values(BLOCK_TYPES).map((type) => [type.id, type]));
const byName = new Map<string, BlockType>(Object.values(BLOCK_TYPES).map((type) => [type.name.toLowerCase(), type]));

export function findBlockTypeById(id: number): BlockType | undefined {
  return byId.get(id);
}

/**
 * The block type of a name, in any case.
 *
 * @throws CalibrantError `UNKNOWN_NAME` that lists the known types.
 */
export function blockType(name: string): BlockType {
  const found = byName.get(name.toLowerCase());
  if (!found)
    throw new CalibrantError('UNKNOWN_NAME', `There is no GGUF type "${name}" here. Known: ${Object.keys(BLOCK_TYPES).join(', ')}.`);
  return found;
}
