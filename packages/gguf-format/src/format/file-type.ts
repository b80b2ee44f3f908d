import type { BlockTypeName } from '../blocks/block-types.js';
import { isQuantizable } from '../schemes/tensor-types.js';

/** llama.cpp's number of the file type that is all of one type; Q4_K and Q5_K stand for Q4_K_S and Q5_K_S. */
const FILE_TYPE: Readonly<Record<BlockTypeName, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q8_0: 7,
  Q5_0: 8,
  Q5_1: 9,
  Q2_K: 10,
  Q3_K: 11,
  Q4_K: 14,
  Q5_K: 16,
  Q6_K: 18,
  IQ4_NL: 25,
  IQ4_XS: 30,
  BF16: 32,
  TQ1_0: 36,
  TQ2_0: 37,
  MXFP4: 38,
  NVFP4: 39,
  Q1_0: 40,
  Q2_0: 41,
};
const Q4_K_M = 15;

/**
 * `general.file_type`: that of the most frequent type among the matrices within blocks. Q4_K with some Q6_K is Q4_K_M.
 */
export function fileType(
  tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly type: BlockTypeName }[],
): number {
  const counts = new Map<BlockTypeName, number>();
  const matrices = tensors.filter(isQuantizable);
  const inBlocks = matrices.filter(({ name }) => name.startsWith('blk.'));
  for (const { type } of inBlocks.length > 0 ? inBlocks : matrices) counts.set(type, (counts.get(type) ?? 0) + 1);
  const [most] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? ['F32'];
  return most === 'Q4_K' && counts.has('Q6_K') ? Q4_K_M : FILE_TYPE[most];
}
