// npm run quickstart: installs, builds, then quantizes the embedded model in four ways and measures what each lost.
// node tools/quickstart.mjs [--text FILE] [--threads N]
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { root, setUp } from './setup.mjs';

const { values: options } = parseArgs({ options: { text: { type: 'string' }, threads: { type: 'string' } } });

setUp.filters = ['--filter=@calibrant/cli...'];
setUp();

const { modelFolder, evaluationTextPath } = await import('@calibrant/tiny-llama');
const { createReporter, formatBytes, formatDuration, loadRegistry, renderTable } = await import('@calibrant/cli');
const { evaluateModel, quantizeModel } = await import('@calibrant/pipeline');
const { createCpuBackend } = await import('@calibrant/backend-cpu');

const output = path.join(root, 'quickstart-output');
const text = options.text ?? evaluationTextPath;
const calibration = { source: 'self', samples: 128, length: 256, seed: 0 };
const VARIANTS = [
  { name: 'GGUF Q8_0', folder: 'gguf-q8_0', recipe: { scheme: 'Q8_0', format: { name: 'gguf', options: { name: 'tiny-llama' } } } },
  { name: 'GGUF Q4_K_M', folder: 'gguf-q4_k_m', recipe: { scheme: 'Q4_K_M', format: { name: 'gguf', options: { name: 'tiny-llama' } } } },
  { name: 'RTN int4 g128', folder: 'rtn-int4-g128', recipe: { quantizer: 'rtn', scheme: 'int4-g128-asym', format: 'compressed-tensors' } },
  {
    name: 'GPTQ int4 g128',
    folder: 'gptq-int4-g128',
    recipe: { quantizer: 'gptq', scheme: 'int4-g128-asym', format: 'compressed-tensors', calibration },
  },
];

const started = Date.now();
const reporter = createReporter({ quiet: false });
const registry = await loadRegistry();
const backend = await createCpuBackend(options.threads ? { threads: Number(options.threads) } : {});
rmSync(output, { recursive: true, force: true });
mkdirSync(output, { recursive: true });
const common = { registry, backend, onEvent: reporter.onEvent };

try {
  reporter.note(`The embedded model: a really trained Llama of 4.2 million parameters. ${backend.description}.`);
  const results = [];
  for (const { name, folder, recipe } of VARIANTS) {
    reporter.note(`\n${name}`);
    const out = path.join(output, folder);
    const quantized = await quantizeModel({ model: modelFolder, recipe, out, ...common });
    const model = quantized.files.find((file) => file.endsWith('.gguf')) ?? out;
    const measured = await evaluateModel({ model, base: modelFolder, text, ...common });
    results.push({
      name,
      recipe,
      files: quantized.files.map((file) => path.relative(root, file)),
      bytes: quantized.bytes,
      bitsPerWeight: quantized.bitsPerWeight,
      quantizeSeconds: quantized.seconds,
      perplexity: measured.perplexity.perplexity,
      perplexityStandardError: measured.perplexity.standardError,
      basePerplexity: measured.comparison.basePerplexity,
      meanKl: measured.comparison.meanKl,
      klStandardError: measured.comparison.meanKlStandardError,
      sameTopRate: measured.comparison.sameTop,
      sourceBytes: quantized.sourceBytes,
      sourceBitsPerWeight: quantized.sourceBitsPerWeight,
      protocol: measured.perplexity.protocol,
      scoredTokens: measured.perplexity.scoredTokens,
    });
  }
  reporter.stop();
  const seconds = (Date.now() - started) / 1000;
  const file = path.join(output, 'results.json');
  const json = { model: 'tiny-llama', text: path.relative(root, text), calibration, backend: backend.description, seconds, results };
  writeFileSync(file, `${JSON.stringify(json, null, 2)}\n`);
  show(results, seconds, file);
} finally {
  await backend.close();
}

function show(results, seconds, file) {
  const [{ basePerplexity, sourceBytes, sourceBitsPerWeight, scoredTokens }] = results;
  const rows = [
    ['full precision (bf16)', formatBytes(sourceBytes), sourceBitsPerWeight.toFixed(2), basePerplexity.toFixed(3), '0', '100 %'],
    ...results.map((result) => [
      result.name,
      formatBytes(result.bytes),
      result.bitsPerWeight.toFixed(2),
      result.perplexity.toFixed(3),
      `${result.meanKl.toFixed(5)} ± ${result.klStandardError.toFixed(5)}`,
      `${(100 * result.sameTopRate).toFixed(1)} %`,
    ]),
  ];
  console.log(`\n${renderTable(['model', 'size', 'bits/weight', 'perplexity', 'KL divergence', 'same top token'], rows)}`);
  console.log(
    `\nMeasured on ${scoredTokens.toLocaleString('en')} tokens of held-out text; all of it took ${formatDuration(seconds * 1000)}.`,
  );
  const gguf = results.find(({ name }) => name === 'GGUF Q4_K_M').files.find((name) => name.endsWith('.gguf'));
  console.log(`\nThe models are in ${path.relative(process.cwd(), output) || '.'}:`);
  for (const { name, files } of results) console.log(`  ${name}: ${path.dirname(files[0])}`);
  console.log(`The figures as JSON: ${path.relative(process.cwd(), file)}`);
  console.log(`\nLoad it in llama.cpp:\n  llama-cli -m ${gguf} -p "The history of the city" -n 40 -no-cnv`);
  console.log(
    `Or measure it again yourself:\n  npx calibrant eval ${gguf} --base ${path.relative(root, modelFolder)} --text ${path.relative(root, text)}`,
  );
}
