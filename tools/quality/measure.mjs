// One run of the quality table in a process of its own: quantizes a model by a recipe and compares it with the logits of full precision.
// Reads { model, recipe, out, text, maxWindows, baseLogits, threads } as JSON from the standard input; writes what was measured as JSON.
import { rmSync } from 'node:fs';
import { text as readAll } from 'node:stream/consumers';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { loadRegistry } from '@calibrant/cli';
import { evaluateModel, quantizeModel } from '@calibrant/pipeline';

const { model, recipe, out, text, maxWindows, baseLogits, threads } = JSON.parse(await readAll(process.stdin));
const backend = await createCpuBackend(threads ? { threads } : {});
const common = { registry: await loadRegistry(), backend };
try {
  const started = Date.now();
  const quantized = await quantizeModel({ model, out, recipe, ...common });
  const quantizeSeconds = (Date.now() - started) / 1000;
  const { perplexity, comparison } = await evaluateModel({
    model: out,
    baseLogits,
    text,
    ...(maxWindows ? { maxWindows } : {}),
    ...common,
  });
  process.stdout.write(
    JSON.stringify({
      bitsPerWeight: quantized.bitsPerWeight,
      perplexity: perplexity.perplexity,
      meanKl: comparison.meanKl,
      klStandardError: comparison.meanKlStandardError,
      sameTop: comparison.sameTop,
      quantizeSeconds: Math.round(quantizeSeconds * 10) / 10,
    }),
  );
} finally {
  await backend.close();
  rmSync(out, { recursive: true, force: true });
}
