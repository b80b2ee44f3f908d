// Tokens per second through all blocks of the embedded model in f32, beside llama.cpp (node-llama-cpp) on the same weights as F32 and the same number of threads, in
// windows of 512 tokens; and tokens per second of cached generation. Run `npm run build` in the root before: the GGUF package is not declared as a dependency,
// since its own tests depend on this package. Options: --threads N (2), --windows N (6).
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { openModelFolder } from '@calibrant/checkpoint';
import { tensor, toF32 } from '@calibrant/core';
import { ggufFormat } from '@calibrant/gguf-format';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { generate, openTokenizer, openTransformer } from '@calibrant/transformer';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const { values } = parseArgs({ options: { threads: { type: 'string', default: '2' }, windows: { type: 'string', default: '6' } } });
const threads = Number(values.threads);
const LENGTH = 512;
const REPEATS = 3;

const checkpoint = await openModelFolder(modelFolder);
const ids = (await openTokenizer(checkpoint)).encode(await readFile(evaluationTextPath, 'utf8'));
const windows = Array.from({ length: Number(values.windows) }, (_, i) => ids.slice(i * LENGTH, (i + 1) * LENGTH)).filter(
  ({ length }) => length === LENGTH,
);
const tokens = windows.length * LENGTH;
const backend = createCpuBackend({ threads });
const model = openTransformer(checkpoint, backend);

const ours = await best(async () => {
  const states = await model.run(windows);
  await backend.sync();
  backend.free(...states);
});
const withLogits = await best(async () => {
  const states = await model.run(windows);
  for (const hidden of states) backend.free(hidden, await model.head(hidden));
  await backend.sync();
});
const theirs = await llamaCpp();
const prompts = Array.from({ length: 64 }, () => Int32Array.of(0));
const generation = await best(() => generate(model, { prompts, length: 64, temperature: 1, seed: 1 }), 2);

const rate = (seconds, count = tokens) => `${Math.round(count / seconds).toLocaleString('en')} tokens/s`;
console.log(`${windows.length} windows of ${LENGTH} tokens, ${threads} threads, best of ${REPEATS}`);
console.log(`blocks, Calibrant (${backend.description}): ${rate(ours)}`);
console.log(`blocks, llama.cpp (F32): ${rate(theirs)}`);
console.log(`ratio Calibrant / llama.cpp: ${(theirs / ours).toFixed(2)}`);
console.log(`blocks and logits of every token, Calibrant: ${rate(withLogits)}`);
console.log(`sampled generation, 64 sequences of 64 tokens, Calibrant: ${rate(generation, 64 * 63)}`);
await model.release();
await backend.close();
await checkpoint.close();

async function best(action, repeats = REPEATS) {
  let seconds = Infinity;
  for (let i = 0; i <= repeats; i++) {
    const started = performance.now();
    await action();
    if (i > 0) seconds = Math.min(seconds, (performance.now() - started) / 1000);
  }
  return seconds;
}

async function llamaCpp() {
  const folder = await mkdtemp(path.join(tmpdir(), 'calibrant-bench-'));
  try {
    const modelPath = path.join(folder, 'model.gguf');
    await writeGguf(modelPath);
    const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error });
    const loaded = await llama.loadModel({ modelPath });
    const context = await loaded.createContext({ contextSize: LENGTH, batchSize: LENGTH, threads });
    const sequence = context.getSequence();
    const seconds = await best(async () => {
      for (const window of windows) {
        await sequence.clearHistory();
        await sequence.evaluateWithoutGeneratingNewTokens([...window]);
      }
    });
    await llama.dispose();
    return seconds;
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function writeGguf(file) {
  const format = ggufFormat();
  const options = format.options.parse({ floatType: 'f32' });
  const facts = { config: checkpoint.config, architecture: 'llama', tensors: checkpoint.tensors, linears: new Set() };
  const input = { checkpoint, facts, recipe: {} };
  const outputs = await format.outputs(input, options);
  const plan = outputs.map((output) => ({ ...output, scheme: format.floatScheme(output, facts, options) }));
  const handle = await open(file, 'w');
  const sink = {
    name: file,
    write: async (offset, bytes) => void (await handle.write(bytes, 0, bytes.length, offset)),
    close: () => handle.close(),
  };
  const writer = await format.open(input, plan, { create: async () => sink, writeText: async () => {} }, options, { backend });
  for (const planned of plan) {
    const source = planned.constant ?? (await checkpoint.read(planned.source));
    const data = inOrder(toF32(source), planned);
    await writer.write(planned, {
      rowStart: 0,
      value: { kind: 'float', scheme: planned.scheme, shape: planned.shape, tensor: tensor('f32', planned.shape, data) },
    });
  }
  await writer.finish();
}

function inOrder(data, { shape, rowOrder }) {
  if (!rowOrder) return data;
  const width = shape[1];
  const { period, order } = rowOrder;
  const result = new Float32Array(data.length);
  for (let r = 0; r < shape[0]; r++) {
    const from = Math.floor(r / period) * period + order[r % period];
    result.set(data.subarray(from * width, (from + 1) * width), r * width);
  }
  return result;
}
