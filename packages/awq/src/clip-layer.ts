import {
  type Backend,
  type BufferHandle,
  schemeGroupSize,
  type Tensor,
  type TransformBlock,
  type TransformFacts,
  type TransformLinear,
} from '@calibrant/core';
import { type ClippedRows, clipRows } from './clip-rows.js';
import type { ResolvedAwqOptions } from './options.js';
import { sampleRows } from './sample-rows.js';
import { groupGrams, type SearchClipAttributes, searchClip } from './search-clip.js';

/** Queries and keys meet in a product, which an error of either alone says little of: the reference leaves them as they are, and fused projections with them. */
const NOT_CLIPPED = /(^|[._])(q|k|q_a|q_b|kv_a|kv_b|query|key|query_key_value|qkv|Wqkv|c_attn)(_proj\w*)?$/;

/**
 * Clips a layer's weights in place where that makes its rounded outputs better on sampled inputs. Undefined for layers that are left as they are: queries, keys, and those that are not
 * on an integer grid with scales of rows or groups, whose own encoders choose ranges.
 *
 * @param factors what the channels of the inputs have been divided by since they were observed
 */
export async function clipLayer(
  { weight, scheme, shape }: TransformLinear,
  block: TransformBlock,
  samples: readonly Tensor[] | undefined,
  factors: Float32Array | undefined,
  { clipSteps, clipTokens }: ResolvedAwqOptions,
  backend: Backend,
): Promise<TransformFacts | undefined> {
  if (NOT_CLIPPED.test(weight.replace(/\.weight$/, '')) || scheme?.kind !== 'affine' || scheme.granularity === 'tensor') return undefined;
  const rows = sampleRows(samples ?? [], clipTokens, factors);
  if (rows.shape[0] === 0) return undefined;
  const groupSize = schemeGroupSize(scheme, shape[1]);
  const x = await backend.upload(rows);
  const before = block.weights.get(weight) as BufferHandle;
  const { bits, symmetric } = scheme;
  const search = { bits, symmetric, groupSize, steps: clipSteps };
  const { clipped, errors: data } = await (groupSize === shape[1] ? clipRows : clipGroups)(backend, before, x, search);
  block.weights.set(weight, clipped);
  backend.free(x, before);
  let [unclipped, best] = [0, 0];
  for (let r = 0; r < shape[0]; r++) {
    unclipped += data[2 * r];
    best += data[2 * r + 1];
  }
  return { at: weight, facts: { clipError: best, clipErrorBefore: unclipped } };
}

/** By the Gram matrices of the groups' inputs, which do not grow with the tokens. */
async function clipGroups(backend: Backend, w: BufferHandle, x: BufferHandle, search: SearchClipAttributes): Promise<ClippedRows> {
  const { h } = backend.run(groupGrams, { x }, { groupSize: search.groupSize });
  const { clipped, errors } = backend.run(searchClip, { w, h }, search);
  const { data } = await backend.download(errors);
  backend.free(h, errors);
  return { clipped, errors: data as Float64Array };
}
