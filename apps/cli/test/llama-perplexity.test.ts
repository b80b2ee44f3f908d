import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { loadRegistry } from '@calibrant/cli';
import type { Backend, Registry } from '@calibrant/core';
import { evaluateModel, quantizeModel } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getLlama, type Llama, LlamaLogLevel, type Token } from 'node-llama-cpp';

const WINDOWS = 2;
const LENGTH = 512;
const llama: Llama | undefined = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error }).catch((reason) => {
  console.warn(`left out: apps/cli/test/llama-perplexity.test.ts: ${reason.message}`);
  return undefined;
});
let backend: Backend;
let registry: Registry;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-llama-perplexity-'));
  if (!llama) return;
  registry = await loadRegistry();
  backend = await createCpuBackend({ threads: 2 });
});
afterAll(async () => {
  await llama?.dispose();
  await backend?.close();
  await rm(folder, { recursive: true, force: true });
});

/** A GGUF file of a model. */
async function gguf(model: string, scheme: string, name: string): Promise<string> {
  return (await quantizeModel({ model, recipe: { scheme, format: 'gguf' }, out: path.join(folder, name), registry, backend })).files[0];
}

/** llama.cpp's probabilities at the positions that llama-perplexity scores, and the tokens that follow. */
async function scored(file: string): Promise<{ probabilities: Float64Array; next: number }[]> {
  const model = await llama!.loadModel({ modelPath: file });
  const context = await model.createContext({ contextSize: 768, batchSize: LENGTH, threads: 1 });
  const sequence = context.getSequence();
  const ids = [...model.tokenize(await readFile(evaluationTextPath, 'utf8'), false)];
  const rows: { probabilities: Float64Array; next: number }[] = [];
  for (let window = 0; window < WINDOWS; window++) {
    const tokens = ids.slice(window * LENGTH, (window + 1) * LENGTH);
    await sequence.clearHistory();
    const outputs = await sequence.controlledEvaluate(
      tokens.map((token, i): [Token, { generateNext: { probabilities: true } }] | Token =>
        i >= LENGTH / 2 && i < LENGTH - 1 ? [token, { generateNext: { probabilities: true } }] : token,
      ),
    );
    for (let i = LENGTH / 2; i < LENGTH - 1; i++) {
      const probabilities = new Float64Array(4096);
      for (const [token, p] of outputs[i]!.next.probabilities!) probabilities[token] = p;
      rows.push({ probabilities, next: tokens[i + 1] });
    }
  }
  await context.dispose();
  await model.dispose();
  return rows;
}

/** The figures of `llama-perplexity --kl-divergence`, from its definitions. */
function figures(base: Awaited<ReturnType<typeof scored>>, quantized: typeof base) {
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const p = base.map(({ probabilities, next }) => probabilities[next]);
  const q = quantized.map(({ probabilities, next }) => probabilities[next]);
  const kl = base.map(({ probabilities }, i) =>
    probabilities.reduce((sum, value, token) => {
      const other = quantized[i].probabilities[token];
      return value > 0 && other > 0 ? sum + value * Math.log(value / other) : sum;
    }, 0),
  );
  const top = (row: Float64Array) => row.indexOf(row.reduce((a, b) => Math.max(a, b)));
  return {
    basePerplexity: Math.exp(-mean(p.map(Math.log))),
    perplexity: Math.exp(-mean(q.map(Math.log))),
    meanKl: mean(kl),
    rms: Math.sqrt(mean(q.map((value, i) => (value - p[i]) ** 2))),
    sameTop: mean(base.map(({ probabilities }, i) => (top(probabilities) === top(quantized[i].probabilities) ? 1 : 0))),
  };
}

(llama ? describe : describe.skip)("llama-perplexity's protocol", () => {
  it('gives the perplexity and the divergence that llama.cpp gives, within 0.5 %, on weights that it multiplies in floating point', async () => {
    // The weights of Q4_0 as f32: what llama.cpp would compute if it did not also round activations.
    const quantized = await gguf(await gguf(modelFolder, 'Q4_0', 'q4'), 'F32', 'q4-f32');
    const full = await gguf(modelFolder, 'F32', 'f32');
    const theirs = figures(await scored(full), await scored(quantized));
    const ours = await evaluateModel({
      model: quantized,
      base: full,
      text: evaluationTextPath,
      protocol: 'llama-perplexity-512',
      maxWindows: WINDOWS,
      registry,
      backend,
    });
    const { comparison, perplexity } = ours;
    expect(perplexity).toMatchObject({ protocol: 'llama-perplexity-512', scoredTokens: WINDOWS * 255 });
    expect(theirs.meanKl).toBeGreaterThan(0.02);
    const relative = (found: number, expected: number) => Math.abs(found / expected - 1);
    expect(relative(perplexity.perplexity, theirs.perplexity)).toBeLessThan(0.005);
    expect(relative(comparison!.basePerplexity, theirs.basePerplexity)).toBeLessThan(0.005);
    expect(relative(comparison!.meanKl, theirs.meanKl)).toBeLessThan(0.005);
    expect(relative(comparison!.probabilityChange.rms.value, theirs.rms)).toBeLessThan(0.005);
    // Two tokens may be so close that rounding decides which is the first: at most in two of 510 positions.
    expect(Math.abs(comparison!.sameTop - theirs.sameTop)).toBeLessThan(2.5 / 510);
  });
});
