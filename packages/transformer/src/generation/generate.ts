import {
  type Backend,
  type BufferHandle,
  byteLength,
  CalibrantError,
  createRng,
  type RunOptions,
  scale,
  softmax,
  type Tensor,
  throwIfAborted,
} from '@calibrant/core';
import { weightsOf } from '../description.js';
import type { Transformer } from '../runtime/transformer.js';
import { createCachedDecoder, type ModelWeights } from './cached-decoder.js';
import { drawToken, mostLikely } from './sample-token.js';

export interface GenerateOptions extends RunOptions {
  /** The starts of the sequences, each of at least one token. */
  readonly prompts: readonly Int32Array[];
  /** Tokens that each sequence has at most in the end, its prompt included. */
  readonly length: number;
  /** Tokens that each sequence gets at most behind its prompt; as many as `length` allows if absent. */
  readonly maxNewTokens?: number;
  /** 0 (greedy) if absent, else 0.01 to 100; 1 samples from the model's own distribution. */
  readonly temperature?: number;
  /** Sample among the k most likely tokens; all if absent. */
  readonly topK?: number;
  /** Seed of the samples; 0 if absent. Sequence i draws the same numbers however many sequences there are. */
  readonly seed?: number;
  /** A sequence ends after one of these; none if absent. */
  readonly stopTokens?: readonly number[];
  /** All blocks must be in memory at once, as f32; above this many bytes generation is refused. 4 GiB if absent. */
  readonly maxWeightBytes?: number;
}

/**
 * Sequences per batch. A constant, so that results do not depend on the number of lanes; large enough for matrix products, small enough for several
 * batches to share the lanes.
 */
const BATCH = 32;
const MAX_WEIGHT_BYTES = 4 * 1024 ** 3;

/**
 * Continues sequences by the model itself, many at once with cached keys and values. Deterministic by seed. Prompts may differ in length; all sequences of
 * a batch advance together from position 0.
 *
 * @throws CalibrantError `OUT_OF_MEMORY` when the model's weights in f32 exceed `maxWeightBytes`, `INVALID_ARGUMENT` for empty or too long prompts.
 * @example
 * const [ids] = await generate(model, { prompts: [tokenizer.encode('In computer science,')], length: 60 });
 * tokenizer.decode(ids);
 */
export async function generate(model: Transformer, options: GenerateOptions): Promise<Int32Array[]> {
  checkOptions(model, options);
  const { backend } = model;
  const { prompts, onEvent } = options;
  const total = prompts.reduce((sum, prompt) => sum + endOf(prompt, options) - prompt.length, 0);
  const results: Int32Array[] = new Array(prompts.length);
  const weights = await loadAll(model);
  let done = 0;
  const count = (tokens: number): void => {
    done += tokens;
    onEvent?.({ phase: 'Generating text', done, total, unit: 'tokens' });
  };
  try {
    const batches: number[] = [];
    for (let start = 0; start < prompts.length; start += BATCH) batches.push(start);
    const failure = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, failure.signal]) : failure.signal;
    let firstError: unknown;
    // Each lane works on two batches at a time, so that it has work while the other's tokens are drawn.
    const workers = Array.from({ length: Math.min(2 * backend.lanes, batches.length) }, async (_, worker) => {
      try {
        for (let start = batches.shift(); start !== undefined; start = batches.shift()) {
          const texts = await generateBatch(model, weights, { ...options, signal }, start, worker % backend.lanes, count);
          for (const [i, ids] of texts.entries()) results[start + i] = ids;
        }
      } catch (error) {
        firstError ??= error;
        failure.abort();
      }
    });
    await Promise.all(workers);
    if (firstError) throw firstError;
    return results;
  } finally {
    for (const block of weights) backend.free(...block.values());
  }
}

async function generateBatch(
  model: Transformer,
  weights: ModelWeights,
  options: GenerateOptions,
  start: number,
  lane: number,
  count: (tokens: number) => void,
): Promise<Int32Array[]> {
  const { prompts, length, temperature = 0, topK, seed = 0, stopTokens = [], signal } = options;
  const sequences = prompts.slice(start, start + BATCH).map((prompt, i) => ({
    ids: [...prompt],
    end: endOf(prompt, options),
    random: createRng(seed + Math.imul(start + i, 0x9e3779b1)),
    ended: prompt.length >= endOf(prompt, options),
  }));
  const decoder = createCachedDecoder(model, weights, lane, length);
  try {
    for (let position = 0; sequences.some(({ ended }) => !ended); position++) {
      throwIfAborted(signal);
      const wanted = sequences.some(({ ids, ended }) => !ended && ids.length === position + 1);
      const logits = await decoder.step(
        Int32Array.from(sequences, ({ ids }) => ids[Math.min(position, ids.length - 1)]),
        wanted,
      );
      if (!logits) continue;
      const { data, shape } = await download(model.backend, temperature === 0 ? logits : probabilities(model.backend, logits, temperature));
      const vocab = shape[1];
      let drawn = 0;
      for (const [row, sequence] of sequences.entries()) {
        if (sequence.ended || sequence.ids.length !== position + 1) continue;
        const values = (data as Float32Array).subarray(row * vocab, (row + 1) * vocab);
        const token = temperature === 0 ? mostLikely(values) : drawToken(values, topK, sequence.random);
        sequence.ids.push(token);
        sequence.ended = sequence.ids.length >= sequence.end || stopTokens.includes(token);
        drawn++;
      }
      count(drawn);
    }
  } finally {
    decoder.release();
  }
  return sequences.map(({ ids }) => Int32Array.from(ids));
}

/** Tokens that a sequence has at most in the end. */
function endOf(prompt: Int32Array, { length, maxNewTokens = length }: GenerateOptions): number {
  return Math.min(length, prompt.length + maxNewTokens);
}

/** Softmax of the logits over the temperature, in the place of the logits. */
function probabilities(backend: Backend, logits: BufferHandle, temperature: number): BufferHandle {
  const { y: scaled } = backend.run(scale, { x: logits }, { scale: 1 / temperature });
  const { y } = backend.run(softmax, { x: scaled }, {});
  backend.free(logits, scaled);
  return y;
}

async function download(backend: Backend, handle: BufferHandle): Promise<Tensor> {
  try {
    return await backend.download(handle);
  } finally {
    backend.free(handle);
  }
}

async function loadAll(model: Transformer): Promise<ModelWeights> {
  const weights: Map<string, BufferHandle>[] = [];
  try {
    for (let index = 0; index < model.blockCount; index++) weights.push(await model.block(index).load());
    return weights;
  } catch (error) {
    for (const block of weights) model.backend.free(...block.values());
    throw error;
  }
}

function checkOptions(
  model: Transformer,
  { prompts, length, maxNewTokens = 1, temperature = 0, topK = 1, maxWeightBytes = MAX_WEIGHT_BYTES }: GenerateOptions,
): void {
  const wrong = (message: string): CalibrantError => new CalibrantError('INVALID_ARGUMENT', message);
  const empty = prompts.findIndex((prompt) => prompt.length === 0 || prompt.length > length);
  if (empty >= 0)
    throw wrong(
      `Prompt ${empty} has ${prompts[empty].length} tokens; it must have at least 1 and at most the length of the result, ${length}.`,
    );
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 1))
    throw wrong(`maxNewTokens must be a whole number of at least 1, found ${maxNewTokens}.`);
  if (temperature !== 0 && !(temperature >= 0.01 && temperature <= 100))
    throw wrong(`temperature must be 0 (greedy) or from 0.01 to 100, found ${temperature}.`);
  if (!(Number.isInteger(topK) && topK >= 1)) throw wrong(`topK must be a whole number of at least 1, found ${topK}.`);
  const bytes = model.description.blocks.flatMap(weightsOf).reduce((sum, { shape }) => sum + byteLength({ dtype: 'f32', shape }), 0);
  if (bytes > maxWeightBytes)
    throw new CalibrantError(
      'OUT_OF_MEMORY',
      `Generating text needs all blocks in memory, ${(bytes / 1024 ** 3).toFixed(1)} GiB as f32, above the limit of ${(maxWeightBytes / 1024 ** 3).toFixed(1)} GiB. ` +
        'Calibrate on a text file or folder instead, or raise the limit.',
    );
}
