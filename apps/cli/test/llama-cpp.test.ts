import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { loadRegistry } from '@calibrant/cli';
import type { Backend, Registry } from '@calibrant/core';
import { BLOCK_TYPES, blockType } from '@calibrant/gguf-format';
import { evaluateModel, openModel, quantizeModel } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { openTokenizer, openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getLlama, type Llama, type LlamaContext, LlamaLogLevel, type LlamaModel, type Token } from 'node-llama-cpp';

const WINDOWS = 2;
/** llama.cpp rounds activations to 8 bits when it multiplies quantized weights: where our two best logits are closer than this, it may take the other. */
const ACTIVATION_ROUNDING = 0.3;
/** One of each kind of block; `npm run bench:llama-cpp` compares every scheme. */
const SCHEMES = ['F32', 'Q8_0', 'Q4_0', 'Q4_K_M', 'Q6_K', 'IQ4_NL', 'MXFP4', 'NVFP4'];
/** llama.cpp's prebuilt library comes as an optional package for some platforms. */
const llama: Llama | undefined = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error }).catch((reason) => {
  console.warn(`left out: apps/cli/test/llama-cpp.test.ts: ${reason.message}`);
  return undefined;
});
let backend: Backend;
let registry: Registry;
let folder: string;
const files = new Map<string, string>();

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-llama-cpp-'));
  if (!llama) return;
  registry = await loadRegistry();
  backend = await createCpuBackend({ threads: 2 });
  for (const scheme of SCHEMES) {
    const recipe = { scheme, format: 'gguf' };
    const result = await quantizeModel({ model: modelFolder, recipe, out: path.join(folder, scheme), registry, backend });
    files.set(scheme, result.files[0]);
  }
});
afterAll(async () => {
  await llama?.dispose();
  await backend?.close();
  await rm(folder, { recursive: true, force: true });
});

(llama ? describe : describe.skip).each(SCHEMES)('llama.cpp on our %s file', (scheme) => {
  let model: LlamaModel;
  let context: LlamaContext;
  beforeAll(async () => {
    model = await llama!.loadModel({ modelPath: files.get(scheme)! });
    context = await model.createContext({ contextSize: 512, threads: 1 });
  });
  afterAll(async () => {
    await context?.dispose();
    await model?.dispose();
  });

  it('tokenizes to the same ids as our tokenizer', async () => {
    const { strings } = await tokenizerReference();
    const checkpoint = await openModel(files.get(scheme)!, { registry, backend });
    const tokenizer = await openTokenizer(checkpoint);
    for (const text of strings) expect([text, Array.from(tokenizer.encode(text))]).toEqual([text, Array.from(model.tokenize(text, true))]);
    await checkpoint.close();
  });

  it('generates the same first tokens greedily as our forward pass on the dequantized weights', async () => {
    const prompt = [...model.tokenize('The history of the city begins in the early twelfth century, when', false)];
    const sequence = context.getSequence();
    const theirs: number[] = [];
    for await (const token of sequence.evaluate(prompt, { temperature: 0 })) {
      theirs.push(token);
      if (theirs.length === 8) break;
    }
    sequence.dispose();
    const ours = await greedy(files.get(scheme)!, prompt, 8);
    const parting = ours.findIndex(({ token }, i) => token !== theirs[i]);
    if (parting < 0) return;
    expect(scheme).not.toMatch(/^F/);
    expect(parting).toBeGreaterThanOrEqual(2);
    expect(ours[parting].margin).toBeLessThan(ACTIVATION_ROUNDING);
  });

  it('agrees on the perplexity within 0.5 %', async () => {
    expect(Math.abs((await theirPerplexity(model, context)) / (await ourPerplexity(files.get(scheme)!)) - 1)).toBeLessThan(0.005);
  });
});

(llama ? it : it.skip)('llama.cpp loads a file with a matrix of every type, and agrees on its perplexity within 0.5 %', async () => {
  // The fewest bits for what the model can best do without.
  const bits = (name: string) => blockType(name).blockBytes / blockType(name).blockSize;
  const names = Object.keys(BLOCK_TYPES).sort((x, y) => bits(y) - bits(x));
  const matrices = ['ffn_down', 'ffn_up', 'ffn_gate', 'attn_v', 'attn_output', 'attn_q', 'attn_k'];
  const places = matrices.flatMap((matrix) => [0, 1, 2, 3].map((layer) => `blk.${layer}.${matrix}.weight`));
  expect(names).toHaveLength(places.length);
  const recipe = {
    scheme: { name: 'Q8_0', options: { tensorTypes: Object.fromEntries(names.map((name, i) => [places[i], name])) } },
    format: 'gguf',
    importance: { calibration: { source: 'file', path: evaluationTextPath, samples: 4, length: 128 } },
  } as const;
  const { files, tensors } = await quantizeModel({ model: modelFolder, recipe, out: path.join(folder, 'all'), registry, backend });
  const types = new Map(tensors.map(({ name, scheme }) => [name, scheme.toUpperCase()]));
  expect(places.map((place) => types.get(place))).toEqual(names);
  const model = await llama!.loadModel({ modelPath: files[0] });
  const context = await model.createContext({ contextSize: 512, threads: 1 });
  const theirs = await theirPerplexity(model, context);
  await context.dispose();
  await model.dispose();
  expect(Math.abs(theirs / (await ourPerplexity(files[0])) - 1)).toBeLessThan(0.005);
});

/** Of the first windows of the evaluation text, by llama.cpp. */
async function theirPerplexity(model: LlamaModel, context: LlamaContext): Promise<number> {
  const text = await readFile(evaluationTextPath, 'utf8');
  const ids = [...model.tokenize(text, false)].slice(0, WINDOWS * 512);
  const sequence = context.getSequence();
  let nll = 0;
  let scored = 0;
  for (let start = 0; start < ids.length; start += 512) {
    const window = ids.slice(start, start + 512);
    await sequence.clearHistory();
    const outputs = await sequence.controlledEvaluate(
      window.map((token, i): [Token, { generateNext: { probabilities: true } }] | Token =>
        i === window.length - 1 ? token : [token, { generateNext: { probabilities: true } }],
      ),
    );
    for (let i = 0; i + 1 < window.length; i++) {
      nll -= Math.log(outputs[i]!.next.probabilities!.get(window[i + 1])!);
      scored++;
    }
  }
  sequence.dispose();
  expect(scored).toBe(WINDOWS * 511);
  return Math.exp(nll / scored);
}

async function ourPerplexity(model: string): Promise<number> {
  const { perplexity } = await evaluateModel({ model, text: evaluationTextPath, maxWindows: WINDOWS, registry, backend });
  expect(perplexity.scoredTokens).toBe(WINDOWS * 511);
  return perplexity.perplexity;
}

/** The most likely next tokens one after the other, with the distance from the best logit to the second. */
async function greedy(file: string, prompt: readonly number[], count: number): Promise<{ token: number; margin: number }[]> {
  const checkpoint = await openModel(file, { registry, backend });
  const transformer = openTransformer(checkpoint, backend);
  const chosen: { token: number; margin: number }[] = [];
  for (let i = 0; i < count; i++) {
    const { data, shape } = await transformer.logits(Int32Array.from([...prompt, ...chosen.map(({ token }) => token)]));
    const last = (data as Float32Array).subarray((shape[0] - 1) * shape[1]);
    const [best, second] = [...last].sort((a, b) => b - a);
    chosen.push({ token: last.indexOf(best), margin: best - second });
  }
  await transformer.release();
  await checkpoint.close();
  return chosen;
}

async function tokenizerReference(): Promise<{ strings: string[] }> {
  const reference = JSON.parse(await readFile(path.join(modelFolder, 'tokenizer_reference.json'), 'utf8'));
  const entries: { text: string }[] = Array.isArray(reference) ? reference : Object.values(reference).find(Array.isArray)!;
  return { strings: entries.map(({ text }) => text) };
}
