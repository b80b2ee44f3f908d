import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { openSource, outputFolder } from '@calibrant/checkpoint';
import { type Backend, toF32 } from '@calibrant/core';
import { openGgufCheckpoint } from '@calibrant/gguf-format';
import { openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getLlama, type Llama, LlamaLogLevel } from 'node-llama-cpp';
import { convert, memoryCheckpoint } from './convert-model.js';
import { libraryFolder } from './ggml-library.js';
import { farthestLogProbability } from './llama-probabilities.js';
import { randomTensors, TINY } from './random-model.js';
import { sentencePieceTokenizer } from './sentence-piece.js';

const found = libraryFolder();
if ('reason' in found) console.warn(`left out: rotations in llama.cpp, because ${found.reason}.`);
const withLlama = 'folder' in found ? describe : describe.skip;

const YARN = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 };
const FACTORS = Array.from({ length: 8 }, (_, i) => 1 + i / 4);
/** Scalings of the rotation, each of which changes the logits. */
const SCALINGS: [string, Record<string, unknown>][] = [
  ['linear', { rope_scaling: { type: 'linear', factor: 3 } }],
  ['yarn', { rope_scaling: YARN }],
  ['yarn with an attention factor', { rope_scaling: { ...YARN, attention_factor: 1.4 } }],
  ['yarn with two temperatures', { rope_scaling: { ...YARN, mscale: 0.7, mscale_all_dim: 1.1 } }],
  [
    'llama3 with bounds of its own',
    { rope_scaling: { rope_type: 'llama3', factor: 16, low_freq_factor: 2, high_freq_factor: 8, original_max_position_embeddings: 32 } },
  ],
  [
    // Of a context within the original one: llama.cpp chooses the list by the size of the context.
    'longrope',
    {
      rope_scaling: { rope_type: 'longrope', short_factor: FACTORS, long_factor: FACTORS.map((factor) => 2 * factor) },
      original_max_position_embeddings: 512,
      max_position_embeddings: 1024,
    },
  ],
];

withLlama("llama.cpp's runtime", () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'calibrant-gguf-'));
  const ids = Int32Array.from({ length: 40 }, (_, i) => (i * 37) % 300);
  const positions = [0, 13, 39];
  let backend: Backend;
  let llama: Llama;
  let plain: Float32Array;

  beforeAll(async () => {
    backend = createCpuBackend({ threads: 1 });
    llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: LlamaLogLevel.error });
    plain = await logitsOf({});
  });
  afterAll(async () => {
    await llama.dispose();
    await backend.close();
    rmSync(folder, { recursive: true });
  });

  /** Our logits `[positions, vocabulary]` of a checkpoint; of its GGUF file the same. */
  async function logitsOf(changes: Record<string, unknown>): Promise<Float32Array> {
    const config = { ...TINY, model_type: 'llama', vocab_size: 320, ...changes };
    const files = { 'tokenizer.json': JSON.stringify(sentencePieceTokenizer()) };
    const checkpoint = memoryCheckpoint(config, randomTensors(config), files);
    await convert(checkpoint, outputFolder(folder), backend);
    const file = await openGgufCheckpoint(await openSource(path.join(folder, 'model.gguf')), { backend });
    const [ours, again] = [await logits(openTransformer(checkpoint, backend)), await logits(openTransformer(file, backend))];
    await file.close();
    expect(again.every((logit, i) => Math.abs(logit - ours[i]) < 1e-4)).toBe(true);
    return ours;
  }

  async function logits(model: ReturnType<typeof openTransformer>): Promise<Float32Array> {
    const all = toF32(await model.logits(ids));
    await model.release();
    const width = all.length / ids.length;
    return Float32Array.from(positions.flatMap((position) => [...all.subarray(position * width, (position + 1) * width)]));
  }

  it.each(SCALINGS)('turns by the same angles as our forward pass, from the checkpoint and from its file: %s', async (_kind, changes) => {
    const ours = await logitsOf(changes);
    expect(ours.some((logit, i) => Math.abs(logit - plain[i]) > 1e-2)).toBe(true);
    expect(await farthestLogProbability(llama, path.join(folder, 'model.gguf'), ids, { positions, logits: ours })).toBeLessThan(1e-4);
  });
});
