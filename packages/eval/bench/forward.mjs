// Perplexity over windows of 512 tokens: Calibrant on the CPU against llama.cpp (node-llama-cpp) on the same weights and threads, in one run, with and without logits.
//   node bench/forward.mjs [--model FOLDER] [--threads N] [--windows N] [--repeats N]
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { openModelFolder } from '@calibrant/checkpoint';
import { cutWindows, perplexity } from '@calibrant/eval';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { openTokenizer, openTransformer } from '@calibrant/transformer';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';
import { writeFloatGguf } from './write-float-gguf.mjs';

const { values } = parseArgs({
  options: { model: { type: 'string' }, threads: { type: 'string' }, windows: { type: 'string' }, repeats: { type: 'string' } },
});
const threads = Number(values.threads ?? availableParallelism());
const repeats = Number(values.repeats ?? 5);
const checkpoint = await openModelFolder(values.model ?? modelFolder);
const backend = createCpuBackend({ threads });
const model = openTransformer(checkpoint, backend);
const ids = (await openTokenizer(checkpoint)).encode(await readFile(evaluationTextPath, 'utf8'));
const full = cutWindows(ids, { maxWindows: Number(values.windows ?? 12) }).windows.filter(({ length }) => length === 512);
const windows = { windows: full, length: 512 };
const halves = cutWindows(ids, { protocol: 'llama-perplexity-512', maxWindows: full.length });
const tokens = full.length * 512;
const folder = await mkdtemp(join(tmpdir(), 'calibrant-bench-'));
const runners = [
  {
    name: 'Calibrant, blocks',
    run: async () => backend.free(...(await model.run(full))),
    finish: () => backend.sync(),
  },
  { name: 'Calibrant, blocks + all logits + perplexity', run: () => perplexity({ backend, model, windows }) },
  { name: 'Calibrant, perplexity by llama-perplexity-512', run: () => perplexity({ backend, model, windows: halves }) },
];
const closing = [];

try {
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: threads });
  for (const type of ['f32', 'f16']) {
    const path = await writeFloatGguf(checkpoint, model, type, folder, backend);
    const loaded = await llama.loadModel({ modelPath: path });
    const context = await loaded.createContext({
      // More than a window, so that the binding does not shift the context at its last token.
      contextSize: 768,
      batchSize: 512,
      threads: { ideal: threads, min: threads },
      flashAttention: false,
    });
    const sequence = context.getSequence();
    closing.push(() => loaded.dispose());
    const evaluate = async (logitsFrom) => {
      for (const window of full) {
        await sequence.clearHistory();
        await sequence.controlledEvaluate([...window].map((token, i) => (i >= logitsFrom && i < 511 ? [token, logitsAlone()] : token)));
      }
    };
    runners.push(
      { name: `llama.cpp, ${type} weights, blocks`, run: () => evaluate(511) },
      { name: `llama.cpp, ${type} weights, blocks + all logits`, run: () => evaluate(0) },
      { name: `llama.cpp, ${type} weights, logits of second halves`, run: () => evaluate(256) },
    );
  }
  const best = new Map(runners.map(({ name }) => [name, Infinity]));
  // Interleaved, so that other work on the machine meets all of them alike; the best of the repeats counts.
  for (let repeat = 0; repeat <= repeats; repeat++)
    for (const { name, run, finish } of runners) {
      const start = performance.now();
      await run();
      await finish?.();
      if (repeat > 0) best.set(name, Math.min(best.get(name), (performance.now() - start) / 1000));
    }
  console.log(`${full.length} windows of 512 tokens, ${threads} threads, best of ${repeats}; ${backend.description}`);
  const reference = best.get('llama.cpp, f32 weights, blocks + all logits');
  for (const [name, seconds] of best)
    console.log(
      `${name.padEnd(48)} ${Math.round(tokens / seconds)
        .toString()
        .padStart(7)} tokens/s  ${(reference / seconds).toFixed(2)} × llama.cpp f32 with all logits`,
    );
} finally {
  for (const close of closing) await close();
  await model.release();
  await backend.close();
  await checkpoint.close();
  await rm(folder, { recursive: true, force: true });
}

/**
 * Makes llama.cpp compute a position's logits and copy them to where llama-perplexity reads them, without a sampler or JavaScript looking at them, which would cost more than the
 * model: the binding asks this option whether to compute logits, and then again whether to sample.
 */
function logitsAlone() {
  let asked = 0;
  return {
    generateNext: {
      get token() {
        asked++;
        return asked === 1;
      },
    },
  };
}
