// Perplexity in llama.cpp and in our forward pass, for every GGUF scheme on the embedded model:
//   node bench/llama-cpp.mjs [--schemes Q4_K_M,IQ2_M,…] [--windows N]
// Exit code 1 when one differs by more than 0.5 % from ours with activations rounded as llama.cpp rounds them. Its cache of keys and values is in f32
// and its attention the plain one, as ours; what f32 activations would give stands beside.
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { cutWindows, perplexity } from '@calibrant/eval';
import { makeImportanceMatrix, openModel, quantizeModel } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { openTokenizer, openTransformer } from '@calibrant/transformer';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';
import { loadRegistry } from '../dist/index.js';
import { roundedActivations } from './rounded-activations.mjs';

const LIMIT_PERCENT = 0.5;
const WINDOW = 512;
const AS_OURS = { flashAttention: false, experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' };
const { values } = parseArgs({ options: { schemes: { type: 'string' }, windows: { type: 'string', default: '13' } } });
const registry = await loadRegistry();
const known = registry.list('scheme').filter(({ meta }) => meta.package === '@calibrant/gguf-format');
const schemes = values.schemes?.split(',') ?? known.map(({ name }) => name);
const backend = createCpuBackend();
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error });
const scratch = await mkdtemp(path.join(tmpdir(), 'calibrant-bench-'));
const text = await readFile(evaluationTextPath, 'utf8');
const run = { registry, backend };
const maxWindows = Number(values.windows);

/** Perplexity as llama.cpp computes it: mean over the tokens of each window but the first. */
async function theirPerplexity(modelPath) {
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: WINDOW, threads: 1, ...AS_OURS });
  const sequence = context.getSequence();
  const ids = [...model.tokenize(text, false)].slice(0, maxWindows * WINDOW);
  let [loss, scored] = [0, 0];
  for (let start = 0; start < ids.length; start += WINDOW) {
    const window = ids.slice(start, start + WINDOW);
    await sequence.clearHistory();
    const asked = window.map((id, i) => (i + 1 === window.length ? id : [id, { generateNext: { probabilities: true } }]));
    const outputs = await sequence.controlledEvaluate(asked);
    for (let i = 0; i + 1 < window.length; i++) loss -= Math.log(outputs[i].next.probabilities.get(window[i + 1]));
    scored += window.length - 1;
  }
  await context.dispose();
  await model.dispose();
  return { perplexity: Math.exp(loss / scored), scored };
}

/** Ours: with activations in f32, and rounded as llama.cpp rounds them. */
async function ourPerplexities(file) {
  const checkpoint = await openModel(file, run);
  const ids = (await openTokenizer(checkpoint)).encode(text);
  const windows = cutWindows(ids, { bytes: Buffer.byteLength(text), length: WINDOW, maxWindows });
  const rounding = roundedActivations(backend);
  const figures = [];
  for (const [source, on] of [
    [checkpoint, backend],
    [rounding.open(checkpoint), rounding.backend],
  ]) {
    const model = openTransformer(source, on);
    figures.push(await perplexity({ backend: on, model, windows }));
    await model.release();
  }
  await checkpoint.close();
  const [{ perplexity: ours, scoredTokens: scored }, { perplexity: rounded }] = figures;
  return { ours, rounded, scored };
}

const imatrix = path.join(scratch, 'imatrix.gguf');
await makeImportanceMatrix({ model: modelFolder, out: imatrix, calibration: { source: 'self', samples: 16, length: 256 }, ...run });
const percent = (a, b) => 100 * (a / b - 1);
let far = 0;
console.log(
  '| scheme | MB | llama.cpp | ours, 8-bit activations | difference | ours, f32 activations | difference |\n| --- | --- | --- | --- | --- | --- | --- |',
);
try {
  for (const scheme of schemes) {
    const out = path.join(scratch, scheme);
    const isFloat = /^B?F\d+$/.test(scheme);
    const recipe = { scheme, format: 'gguf', ...(isFloat ? {} : { importance: { file: imatrix } }) };
    const { files } = await quantizeModel({ model: modelFolder, recipe, out, ...run });
    const megabytes = (await stat(files[0])).size / 1e6;
    const { ours, rounded, scored } = await ourPerplexities(files[0]);
    const theirs = await theirPerplexity(files[0]);
    if (theirs.scored !== scored) throw new Error(`${scheme}: not the same tokens were scored.`);
    const apart = [percent(theirs.perplexity, rounded), percent(theirs.perplexity, ours)];
    const figures = [theirs.perplexity, rounded, apart[0], ours, apart[1]].map((x) => x.toFixed(3));
    console.log(
      `| ${scheme} | ${megabytes.toFixed(2)} | ${figures[0]} | ${figures[1]} | ${figures[2]} % | ${figures[3]} | ${figures[4]} % |`,
    );
    if (!(Math.abs(apart[0]) <= LIMIT_PERCENT)) far++;
    await rm(out, { recursive: true });
  }
} finally {
  await llama.dispose();
  await backend.close();
  await rm(scratch, { recursive: true });
}
if (far > 0) {
  console.error(`${far} of ${schemes.length} differ by more than ${LIMIT_PERCENT} %.`);
  process.exitCode = 1;
}
