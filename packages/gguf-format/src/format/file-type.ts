import type { BlockTypeName } from '../blocks/block-types.js';
import { MIXTURES } from '../schemes/mixtures.js';
import { isQuantizable } from '../schemes/tensor-types.js';

/** llama.cpp's number of the file type that is all of one type, where no mixture has that type's name or the mixture is a richer one. */
const OF_TYPE: Readonly<Record<string, number>> = {
  F32: 0,
  F16: 1,
  Q3_K: 11,
  Q4_K: 14,
  Q5_K: 16,
  IQ2_S: 29,
  BF16: 32,
  MXFP4: 38,
  NVFP4: 39,
};
const Q4_K_M = 15;

/**
 * `general.file_type`: that of the scheme, where it is a mixture of llama-quantize; else that of the most frequent type among the matrices within
 * blocks, Q4_K with some Q6_K being Q4_K_M.
 */
export function fileType(
  tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly type: BlockTypeName }[],
  scheme?: string,
): number {
  const mixture = numberOf(scheme);
  if (mixture !== undefined) return mixture;
  const counts = new Map<BlockTypeName, number>();
  const matrices = tensors.filter(isQuantizable);
  const inBlocks = matrices.filter(({ name }) => name.startsWith('blk.'));
  for (const { type } of inBlocks.length > 0 ? inBlocks : matrices) counts.set(type, (counts.get(type) ?? 0) + 1);
  const [most] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? ['F32'];
  return most === 'Q4_K' && counts.has('Q6_K') ? Q4_K_M : (OF_TYPE[most] ?? numberOf(most) ?? OF_TYPE['F32']);
}

function numberOf(mixture: string | undefined): number | undefined {
  return MIXTURES.find(({ name }) => name === mixture)?.fileType;
}
