import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { outputFolder } from '@calibrant/checkpoint';
import { type Backend, type Checkpoint, createReferenceBackend, type Tensor, toF32 } from '@calibrant/core';
import { openGgufCheckpoint } from '@calibrant/gguf-format';
import { openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getLlama, type Llama } from 'node-llama-cpp';
import { convert } from './convert-model.js';
import { formulaModel } from './formula-model.js';
import { libraryFolder } from './ggml-library.js';
import { farthestLogProbability } from './llama-probabilities.js';
import { memoryFolder, memorySource } from './memory-files.js';

const NAMES = readdirSync(new URL('fixtures/architectures', import.meta.url));

/** Where llama.cpp looks GELU up in a table of half precision, in its tanh form. */
const GELU = /^(bloom|falcon|gemma|gpt|phi$)/;

/** Models whose logits are in the hundreds. */
const LARGE = /^(bloom|cohere|falcon|gemma|gpt2|llama-bias)/;

async function throughFile(checkpoint: Checkpoint, backend: Backend): Promise<Checkpoint> {
  const folder = memoryFolder();
  await convert(checkpoint, folder, backend, { format: { tokenizer: 'none' } });
  return openGgufCheckpoint(memorySource(folder.files.get('model.gguf')?.bytes() ?? new Uint8Array()), { backend });
}

describe('a model of each architecture', () => {
  const backend = createReferenceBackend();
  const cpu = createCpuBackend({ threads: 1 });
  afterAll(() => cpu.close());

  it.each(NAMES)("computes transformers' logits from its file in our forward pass: %s", async (name) => {
    const { checkpoint, ids, firstLogits, lastLogits } = formulaModel(name);
    const model = openTransformer(await throughFile(checkpoint, cpu), cpu);
    const logits = toF32(await model.logits(ids));
    const expected = new Float32Array([...firstLogits, ...lastLogits]);
    const found = new Float32Array([...logits.subarray(0, firstLogits.length), ...logits.subarray(-lastLogits.length)]);
    expect(expected.reduce((most, logit, i) => Math.max(most, Math.abs(logit - found[i])), 0)).toBeLessThan(LARGE.test(name) ? 2e-2 : 1e-3);
  });

  it.each(NAMES)('is read back from its file with the tensors that it was made of: %s', async (name) => {
    const { checkpoint } = formulaModel(name);
    const again = await throughFile(checkpoint, backend);
    expect([...again.tensors.keys()].sort()).toEqual([...checkpoint.tensors.keys()].sort());
    for (const tensor of checkpoint.tensors.keys()) {
      const [expected, found] = [await checkpoint.read(tensor), await again.read(tensor)];
      expect([tensor, found.shape]).toEqual([tensor, expected.shape]);
      expect([tensor, again.tensors.get(tensor)?.shape]).toEqual([tensor, expected.shape]);
      expect([tensor, farthest(found, expected)]).toEqual([tensor, expect.closeTo(0, name.startsWith('gemma') ? 6 : 20)]);
      if (expected.shape.length < 2 || expected.shape[0] < 8) continue;
      const part = await again.read(tensor, { start: 3, end: 7 });
      expect(part.shape).toEqual([4, expected.shape[1]]);
      expect(part.data).toEqual(found.data.slice(3 * expected.shape[1], 7 * expected.shape[1]));
    }
    for (const field of ['model_type', 'architectures']) expect(again.config[field]).toEqual(checkpoint.config[field]);
    expect((await throughFile(again, backend)).config).toEqual(again.config);
    expect(backend.allocatedBytes()).toBe(0);
  });
});

/** The largest difference of two tensors' elements. */
function farthest(a: Tensor, b: Tensor): number {
  const [left, right] = [toF32(a), toF32(b)];
  return left.reduce((most, value, i) => Math.max(most, Math.abs(value - right[i])), left.length === right.length ? 0 : Number.NaN);
}

const found = libraryFolder();
if ('reason' in found) console.warn(`left out: probabilities in llama.cpp, because ${found.reason}.`);
const withLlama = 'folder' in found ? describe : describe.skip;

withLlama("llama.cpp's runtime", () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'calibrant-gguf-'));
  let backend: Backend;
  let llama: Llama;

  beforeAll(async () => {
    backend = createCpuBackend({ threads: 1 });
    llama = await getLlama({ gpu: false, build: 'never', progressLogs: false });
  });
  afterAll(async () => {
    await llama.dispose();
    await backend.close();
    rmSync(folder, { recursive: true });
  });

  it.each(NAMES)("computes transformers' log-probabilities from a converted model: %s", async (name) => {
    const { checkpoint, ids, firstLogits, lastLogits } = formulaModel(name);
    // The name of the model: llama.cpp looks for special tokens of Phi-3 in models that are called so.
    await convert(checkpoint, outputFolder(path.join(folder, name)), backend, { format: { name: 'formula' } });
    const file = path.join(folder, name, 'model.gguf');
    const last = ids.length - 4;
    const firstPart = { positions: [0, 1, 2, 3], logits: firstLogits };
    const lastPart = { positions: [last, last + 1, last + 2, last + 3], logits: lastLogits };
    const bound = GELU.test(name) ? 1e-2 : 5e-5;
    expect(await farthestLogProbability(llama, file, ids, firstPart)).toBeLessThan(bound);
    const farthest = await farthestLogProbability(llama, file, ids, lastPart);
    // llama.cpp knows no sliding window in Mistral: the last positions see more there.
    if (name === 'mistral-sliding') expect(farthest).toBeGreaterThan(1);
    else expect(farthest).toBeLessThan(bound);
  });
});
