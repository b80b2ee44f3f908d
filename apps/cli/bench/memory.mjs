// Peak memory of `calibrant quantize` on a generated sharded checkpoint, against the largest tensor in f32 twice and 300 MB:
//   node bench/memory.mjs [--gigabytes 8] [--scheme Q4_K_M] [--scratch FOLDER] [--json]
// Writes that many gigabytes, and as a GGUF file about a third of them, into a new folder under FOLDER, which is removed at the end.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeRandomLlama } from './random-llama.mjs';

const MB = 1e6;
const SCRIPT = fileURLToPath(import.meta.url);
const { values } = parseArgs({
  options: {
    gigabytes: { type: 'string', default: '8' },
    scheme: { type: 'string', default: 'Q4_K_M' },
    scratch: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
    run: { type: 'string', multiple: true },
  },
});

/** The operating system's figure for this process: on Linux VmHWM, because the maximum of getrusage also counts the process that started it. */
async function peakBytes() {
  const status = process.platform === 'linux' ? await readFile('/proc/self/status', 'utf8') : '';
  return 1024 * (/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? process.resourceUsage().maxRSS);
}

/** The command line in a process of its own: exit code, and what it prints last. */
async function runCli(args) {
  const child = spawn(process.execPath, [SCRIPT, ...args.map((arg) => `--run=${arg}`)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const chunk of child.stdout) text += chunk;
  return JSON.parse(text.trim().split('\n').at(-1));
}

/** A Llama of these gigabytes: layers of an 8B model, or of a 1B one where that would be few. */
function sizesFor(bytes) {
  const [hidden, intermediate] = bytes >= 4e9 ? [4096, 14336] : [2048, 8192];
  const [heads, kvHeads, vocabulary] = [32, 8, 4096];
  const layer = 2 * (2 * hidden * hidden + (2 * hidden * hidden * kvHeads) / heads + 3 * hidden * intermediate);
  return {
    hidden,
    intermediate,
    layers: Math.ceil((bytes - 2 * vocabulary * hidden) / layer),
    heads,
    kvHeads,
    vocabulary,
    shardBytes: bytes / 4,
  };
}

/** Numbers with two digits behind the point. */
const rounded = (figures) =>
  Object.fromEntries(Object.entries(figures).map(([key, value]) => [key, typeof value === 'number' ? Number(value.toFixed(2)) : value]));

if (values.run) {
  const { main } = await import('../dist/index.js');
  const started = performance.now();
  const code = await main(['node', 'calibrant', ...values.run]);
  const { user, system } = process.cpuUsage();
  const figures = { code, peak: await peakBytes(), seconds: (performance.now() - started) / 1000, cpuSeconds: (user + system) / 1e6 };
  console.log(`\n${JSON.stringify(figures)}`);
} else {
  const wanted = Number(values.gigabytes) * 1e9;
  const { bavail, bsize } = await statfs(values.scratch);
  if (!(bavail * bsize > 1.6 * wanted))
    throw new Error(`${values.scratch} has ${(bavail * bsize) / 1e9} GB free; ${1.6 * values.gigabytes} are needed.`);
  const folder = await mkdtemp(path.join(values.scratch, 'calibrant-memory-'));
  try {
    const model = path.join(folder, 'model');
    const { bytes, shards, largest } = await writeRandomLlama(model, sizesFor(wanted));
    const args = ['quantize', model, '--out', path.join(folder, 'out'), '--scheme', values.scheme, '--quiet'];
    const { code, peak, seconds, cpuSeconds } = await runCli(args);
    const limit = 2 * 4 * largest + 300 * MB;
    const result = {
      scheme: values.scheme,
      gigabytes: bytes / 1e9,
      shards,
      largestF32MB: (4 * largest) / MB,
      peakMB: peak / MB,
      limitMB: limit / MB,
      seconds,
      cpuSeconds,
    };
    if (values.json) console.log(JSON.stringify({ code, ...result }));
    else console.table([{ ...rounded(result), 'bf16 MB/s': Math.round(bytes / MB / seconds) }]);
    if (code !== 0 || peak > limit) process.exitCode = 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
