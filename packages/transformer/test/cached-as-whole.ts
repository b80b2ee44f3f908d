import { type Backend, type BufferHandle, type Checkpoint, createRng, toF32 } from '@calibrant/core';
import { type OpenTransformerOptions, openTransformer } from '@calibrant/transformer';
import { expect } from '@jest/globals';
import { createCachedDecoder } from '../src/generation/cached-decoder.js';
import { maxDifference, row } from './compare.js';

// More than twice the tokens after which the cache is moved, so that it is moved to an empty and to a filled place.
const random = createRng(3);
const first = Int32Array.from({ length: 70 }, () => random.integer(320));
const second = first.slice().reverse();

/**
 * Decodes two sequences step by step and compares with the forward pass over each, within 1e-5 of the largest logit; closes the backend.
 */
export async function expectCachedAsWhole(
  backend: Backend,
  checkpoint: Checkpoint,
  length: number,
  options: OpenTransformerOptions = {},
): Promise<void> {
  const model = openTransformer(checkpoint, backend, options);
  const sequences = [first.subarray(0, length), second.subarray(0, length)];
  const expected = [await model.logits(sequences[0]), await model.logits(sequences[1])];
  const size = Math.max(1, ...toF32(expected[0]).map(Math.abs));

  const weights: Map<string, BufferHandle>[] = [];
  for (let index = 0; index < model.blockCount; index++) weights.push(await model.block(index).load());
  const decoder = createCachedDecoder(model, weights, 0, length);
  for (let t = 0; t < length; t++) {
    const handle = await decoder.step(Int32Array.of(sequences[0][t], sequences[1][t]), true);
    const logits = await backend.download(handle!);
    backend.free(handle);
    for (const i of [0, 1]) expect(maxDifference(row(logits, i), row(expected[i], t)) / size).toBeLessThan(1e-5);
  }
  decoder.release();
  for (const block of weights) backend.free(...block.values());
  await model.release();
  await backend.sync();
  expect(backend.allocatedBytes()).toBe(0);
  await backend.close();
}
