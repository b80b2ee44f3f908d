// Mean KL divergence of GGUF files from the model in full precision, in llama.cpp and in our forward pass with activations rounded as llama.cpp rounds them:
//   node bench/llama-cpp-divergence.mjs [--schemes Q8_0,Q4_K_M,…] [--windows N] [--text FILE]
// Both sides' probabilities go through the same sum, written out below. The standard error is that of the tokens' differences: a last bit decides which way an activation is rounded, and what
// comes after it is noise.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { openModel, quantizeModel } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { openTokenizer, openTransformer } from '@calibrant/transformer';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';
import { loadRegistry } from '../dist/index.js';
import { roundedActivations } from './rounded-activations.mjs';

const WINDOW = 512;
const AS_OURS = { flashAttention: false, experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' };
const { values } = parseArgs({
  options: {
    schemes: { type: 'string', default: 'Q8_0,Q6_K,Q5_K_M,Q4_K_M,Q4_0,Q3_K_M,Q2_K' },
    windows: { type: 'string', default: '4' },
    text: { type: 'string', default: evaluationTextPath },
  },
});
const registry = await loadRegistry();
const backend = createCpuBackend();
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error });
const scratch = await mkdtemp(path.join(tmpdir(), 'calibrant-bench-'));
const text = await readFile(values.text, 'utf8');
const run = { registry, backend };

async function quantized(scheme) {
  const out = path.join(scratch, scheme);
  const { files } = await quantizeModel({ model: modelFolder, recipe: { scheme, format: 'gguf' }, out, ...run });
  return files[0];
}

/** Probabilities of every token but the first of each window. */
async function theirs(modelPath) {
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: WINDOW, threads: 1, ...AS_OURS });
  const sequence = context.getSequence();
  const found = [];
  for (const window of cut([...model.tokenize(text, false)])) {
    await sequence.clearHistory();
    const asked = window.map((id, i) => (i + 1 === window.length ? id : [id, { generateNext: { probabilities: true } }]));
    for (const { next } of (await sequence.controlledEvaluate(asked)).slice(0, -1)) {
      const row = new Float32Array(next.probabilities.size);
      for (const [id, probability] of next.probabilities) row[id] = probability;
      // Their sum is made in f32.
      const sum = row.reduce((total, value) => total + value, 0);
      found.push(Float64Array.from(row, (value) => value / sum));
    }
  }
  await context.dispose();
  await model.dispose();
  return found;
}

async function ours(file) {
  const checkpoint = await openModel(file, run);
  const ids = (await openTokenizer(checkpoint)).encode(text);
  const rounding = roundedActivations(backend);
  const model = openTransformer(rounding.open(checkpoint), rounding.backend);
  const found = [];
  for (const window of cut([...ids])) {
    const [hidden] = await model.run([Int32Array.from(window)]);
    const handle = await model.head(hidden);
    const { data } = await backend.download(handle);
    const vocabulary = data.length / window.length;
    for (let i = 0; i + 1 < window.length; i++) found.push(softmax(data.subarray(i * vocabulary, (i + 1) * vocabulary)));
    for (const each of [hidden, handle]) backend.free(each);
  }
  await model.release();
  await checkpoint.close();
  return found;
}

function cut(ids) {
  const whole = Math.min(Number(values.windows), Math.floor(ids.length / WINDOW));
  return Array.from({ length: whole }, (_, i) => ids.slice(i * WINDOW, (i + 1) * WINDOW));
}

function softmax(logits) {
  const peak = logits.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const powers = Float64Array.from(logits, (value) => Math.exp(value - peak));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

/** Σ p·ln(p/q) in nats, of each token. */
function divergences(base, other) {
  return base.map((p, i) => p.reduce((sum, value, id) => (value > 0 ? sum + value * Math.log(value / other[i][id]) : sum), 0));
}

const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;

try {
  const full = await quantized('F32');
  const [theirBase, ourBase] = [await theirs(full), await ours(full)];
  console.log(
    '| scheme | KL, llama.cpp | KL, ours with 8-bit activations | difference | standard error |\n| --- | --- | --- | --- | --- |',
  );
  for (const scheme of values.schemes.split(',')) {
    const file = await quantized(scheme);
    const [there, here] = [divergences(theirBase, await theirs(file)), divergences(ourBase, await ours(file))];
    const apart = there.map((value, i) => (100 * (value - here[i])) / mean(here));
    const error = Math.sqrt(mean(apart.map((value) => (value - mean(apart)) ** 2)) / (apart.length - 1));
    console.log(
      `| ${scheme} | ${mean(there).toFixed(6)} | ${mean(here).toFixed(6)} | ${mean(apart).toFixed(2)} % | ${error.toFixed(2)} % |`,
    );
  }
} finally {
  await llama.dispose();
  await backend.close();
  await rm(scratch, { recursive: true });
}
