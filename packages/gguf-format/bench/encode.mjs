// Throughput of the block encoders on one thread, in MB/s of f32 input (1 MB = 10^6 bytes) and second of processor time, beside ggml in the same process. The last
// columns are the refined search of the types that have one.
import { BLOCK_TYPES, blockScheme } from '../dist/index.js';
import { loadGgml } from './ggml.mjs';
import { prepare } from './wasm-kernels.mjs';

const [rows, columns] = [16, 4096];
const values = new Float32Array(rows * columns);
const importance = new Float32Array(columns);
let seed = 12345;
const uniform = () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return (seed >>> 8) / 2 ** 24;
};
for (let i = 0; i < values.length; i++) values[i] = 0.04 * (uniform() + uniform() + uniform() + uniform() - 2);
for (let i = 0; i < columns; i++) importance[i] = 0.05 + 4 * uniform() ** 2;

const ggml = await loadGgml();
const megabytes = values.byteLength / 1e6;

const processorTime = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

/** Best of several repetitions, at least five and `seconds` of processor time in all. Other programs may run beside. */
function rate(run, seconds) {
  run();
  let best = Number.POSITIVE_INFINITY;
  const end = processorTime() + seconds;
  for (let i = 0; i < 5 || processorTime() < end; i++) {
    const start = processorTime();
    run();
    best = Math.min(best, processorTime() - start);
  }
  return megabytes / best;
}

const results = [];
/** Types whose bytes do not depend on importance. */
const UNWEIGHTED = ['F16', 'BF16', 'Q8_0', 'TQ1_0', 'TQ2_0', 'MXFP4', 'NVFP4', 'Q1_0', 'Q2_0'];
for (const [name, type] of Object.entries(BLOCK_TYPES).filter(([name]) => name !== 'F32'))
  for (const weights of UNWEIGHTED.includes(name) ? [undefined] : type.needsImportance ? [importance] : [undefined, importance]) {
    const bytes = (values.length / type.blockSize) * type.blockBytes;
    const ours = prepare(type.encode, [values, weights], bytes, columns);
    const out = new Uint8Array(bytes);
    const theirs = () => ggml.quantizeChunk(type.id, values, out, 0, rows, columns, weights ?? null);
    const ourRate = rate(ours.run, 0.25);
    const theirRate = rate(theirs, 0.25);
    const { encode } = blockScheme(name, { search: 'refined' });
    const refined = encode && encode !== type.encode && prepare(encode, [values, weights], bytes, columns);
    const equal = Buffer.compare(Buffer.from(ours.output()), Buffer.from(out)) === 0;
    results.push({
      type: name,
      importance: weights ? 'yes' : 'no',
      'ours MB/s': Math.round(ourRate),
      'ggml MB/s': Math.round(theirRate),
      ratio: Number((ourRate / theirRate).toFixed(2)),
      'same bytes': equal,
      'refined MB/s': refined ? Math.round(rate(refined.run, 0.25)) : undefined,
    });
  }
for (const { type, importance, ratio, ...rates } of results)
  console.log(`| ${[type, importance, rates['ours MB/s'], rates['ggml MB/s'], ratio, rates['refined MB/s'] ?? ''].join(' | ')} |`);
if (results.some((result) => !result['same bytes'])) process.exit(1);
