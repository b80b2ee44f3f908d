// Forward pass over windows of 512 tokens: Calibrant on the CPU against llama.cpp (node-llama-cpp) on the same weights and threads, in one run.
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
const tokens = full.length * 512;
const folder = await mkdtemp(join(tmpdir(), 'calibrant-bench-'));
const runners = [
  {
    name: 'Calibrant, blocks',
    run: async () => backend.free(...(await model.run(full))),
    finish: () => backend.sync(),
  },
  { name: 'Calibrant, blocks + all logits + perplexity', run: () => perplexity({ backend, model, windows }) },
];
const closing = [];

try {
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: threads });
  for (const type of ['f32', 'f16']) {
    const path = await writeFloatGguf(checkpoint, model, type, folder);
    const loaded = await llama.loadModel({ modelPath: path });
    const context = await loaded.createContext({
      contextSize: 512,
      batchSize: 512,
      threads: { ideal: threads, min: threads },
      flashAttention: false,
    });
    const sequence = context.getSequence();
    closing.push(() => loaded.dispose());
    runners.push({
      name: `llama.cpp, ${type} weights, blocks (no logits)`,
      async run() {
        for (const window of full) {
          await sequence.clearHistory();
          await sequence.evaluateWithoutGeneratingNewTokens([...window]);
        }
      },
    });
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
  const reference = best.get('llama.cpp, f32 weights, blocks (no logits)');
  for (const [name, seconds] of best)
    console.log(
      `${name.padEnd(46)} ${Math.round(tokens / seconds)
        .toString()
        .padStart(7)} tokens/s  ${(reference / seconds).toFixed(2)} × llama.cpp f32`,
    );
} finally {
  for (const close of closing) await close();
  await model.release();
  await backend.close();
  await checkpoint.close();
  await rm(folder, { recursive: true, force: true });
}
