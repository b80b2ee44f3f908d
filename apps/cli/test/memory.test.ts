import { spawn } from 'node:child_process';
import { cp, mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRng, encodeOne } from '@calibrant/core';
import { modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const LIMIT_MB = 700;
const CLI = fileURLToPath(new URL('../dist/index.js', import.meta.url));
const SIZES = { hidden: 2048, intermediate: 8192, layers: 17, heads: 32, kvHeads: 8, vocab: 4096 };
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-memory-'));
  await writeRandomLlama(path.join(folder, 'model'));
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('streaming', () => {
  it(`quantizes a 2 GB checkpoint to Q4_K with a peak RSS below ${LIMIT_MB} MB`, async () => {
    const out = path.join(folder, 'out');
    const { code, peakMb } = await peakOf(['quantize', path.join(folder, 'model'), '--out', out, '--scheme', 'Q4_K', '--quiet']);
    console.log(`peak RSS of the 2 GB conversion: ${peakMb.toFixed(0)} MB`);
    expect(code).toBe(0);
    expect(peakMb).toBeLessThan(LIMIT_MB);
    expect(peakMb).toBeGreaterThan(50);
  }, 300_000);
});

/**
 * Runs the command line in a process of its own, which reports the operating system's figure for its peak resident memory. On Linux that is VmHWM:
 * the maximum of getrusage also counts the process that started it.
 */
async function peakOf(args: readonly string[]): Promise<{ code: number | null; peakMb: number }> {
  const script = `import { readFileSync } from 'node:fs';
    import { main } from ${JSON.stringify(CLI)};
    process.exitCode = await main(['node', 'calibrant', ...${JSON.stringify(args)}]);
    const status = process.platform === 'linux' ? readFileSync('/proc/self/status', 'utf8') : '';
    console.log('peak', /VmHWM:\\s+(\\d+)/.exec(status)?.[1] ?? process.resourceUsage().maxRSS);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, peakMb: Number(/peak (\d+)/.exec(text)?.[1]) / 1024 };
}

/** A Llama checkpoint of random normal bf16 weights, about 2 GB in two shards, with the tokenizer of the embedded model. */
async function writeRandomLlama(to: string): Promise<void> {
  await cp(modelFolder, to, { recursive: true, filter: (source) => !/\.safetensors$|reference|perplexity/.test(source) });
  const { hidden, intermediate, layers, heads, kvHeads, vocab } = SIZES;
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    vocab_size: vocab,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    max_position_embeddings: 2048,
    hidden_act: 'silu',
    torch_dtype: 'bfloat16',
    bos_token_id: 0,
    eos_token_id: 0,
  };
  await writeFile(path.join(to, 'config.json'), JSON.stringify(config));
  const kv = (hidden / heads) * kvHeads;
  const shapes = new Map<string, number[]>([
    ['model.embed_tokens.weight', [vocab, hidden]],
    ['model.norm.weight', [hidden]],
  ]);
  for (let i = 0; i < layers; i++) {
    const layer: [string, number[]][] = [
      ['self_attn.q_proj', [hidden, hidden]],
      ['self_attn.k_proj', [kv, hidden]],
      ['self_attn.v_proj', [kv, hidden]],
      ['self_attn.o_proj', [hidden, hidden]],
      ['mlp.gate_proj', [intermediate, hidden]],
      ['mlp.up_proj', [intermediate, hidden]],
      ['mlp.down_proj', [hidden, intermediate]],
      ['input_layernorm', [hidden]],
      ['post_attention_layernorm', [hidden]],
    ];
    for (const [name, shape] of layer) shapes.set(`model.layers.${i}.${name}.weight`, shape);
  }
  const names = [...shapes.keys()];
  const files = [names.slice(0, names.length / 2), names.slice(names.length / 2)];
  const rng = createRng(5);
  const noise = Uint16Array.from({ length: 1 << 22 }, () => encodeOne('bf16', rng.normal() * 0.02));
  const index: Record<string, string> = {};
  let total = 0;
  for (const [i, part] of files.entries()) {
    const file = `model-0000${i + 1}-of-00002.safetensors`;
    total += await writeShard(path.join(to, file), part, shapes, noise);
    for (const name of part) index[name] = file;
  }
  expect(total).toBeGreaterThan(2e9);
  await writeFile(path.join(to, 'model.safetensors.index.json'), JSON.stringify({ metadata: { total_size: total }, weight_map: index }));
}

async function writeShard(
  file: string,
  names: readonly string[],
  shapes: ReadonlyMap<string, number[]>,
  noise: Uint16Array,
): Promise<number> {
  let offset = 0;
  const header: Record<string, unknown> = {};
  for (const name of names) {
    const shape = shapes.get(name)!;
    const bytes = 2 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: 'BF16', shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const handle = await open(file, 'w');
  await handle.write(Buffer.concat([length, padded]));
  const data = Buffer.from(noise.buffer);
  for (let left = offset; left > 0; left -= data.length) await handle.write(data.subarray(0, Math.min(left, data.length)));
  await handle.close();
  return (await stat(file)).size;
}
