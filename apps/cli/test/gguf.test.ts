import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from '@calibrant/cli';
import { BLOCK_TYPES } from '@calibrant/gguf-format';
import { modelFolder } from '@calibrant/tiny-llama';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { runCli } from './run-cli.js';

const goldens = fileURLToPath(new URL('../../../packages/gguf-format/test/fixtures/ggml/', import.meta.url));
const golden = (file: string) => path.join(goldens, file);
let folder: string;
let model: string;
const at = (name: string) => path.join(folder, name);

/** Runs the command in this process; quick enough for a table of types. */
async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((stream) =>
    jest.spyOn(process[stream], 'write').mockImplementation((text) => {
      written[stream] += String(text);
      return true;
    }),
  );
  try {
    const code = await main(['node', 'calibrant', 'gguf', ...args]);
    return { code, ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
    process.exitCode = undefined;
  }
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-gguf-'));
  const { code } = await runCli(['quantize', modelFolder, '--out', at('model'), '--scheme', 'Q4_K_M', '--quiet']);
  expect(code).toBe(0);
  model = path.join(at('model'), (await readdir(at('model'))).find((name) => name.endsWith('.gguf')) ?? '');
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(() => expect(process.exitCode).toBeUndefined());

describe('calibrant gguf encode and decode', () => {
  /** The name of a type's fixtures: `q4_K`, `iq2_xxs`. */
  const fixtureName = (type: string) => type.toLowerCase().replace('_k', '_K');
  const types = Object.keys(BLOCK_TYPES).filter((name) => name !== 'F32');
  const having = (suffix: string) => types.filter((name) => existsSync(golden(`${fixtureName(name)}${suffix}`)));

  it('have goldens for every type', () => {
    expect(types.filter((name) => !having('.bin').includes(name) && !having('.imatrix.bin').includes(name))).toEqual([]);
  });

  it.each(having('.bin'))('%s: the bytes of ggml', async (type) => {
    const out = at(`${type}.bin`);
    const { code, stderr } = await run(
      'encode',
      '--type',
      fixtureName(type),
      '--columns',
      '1024',
      '--threads',
      '1',
      '--quiet',
      golden('input.f32'),
      out,
    );
    expect([code, stderr]).toEqual([0, '']);
    expect((await readFile(out)).equals(await readFile(golden(`${fixtureName(type)}.bin`)))).toBe(true);
  });

  it.each(having('.imatrix.bin'))('%s with importance: the bytes of ggml', async (type) => {
    const out = at(`${type}.imatrix.bin`);
    const weights = ['--imatrix', golden('imatrix.f32')];
    const args = ['--type', type, '--columns', '1024', ...weights, '--threads', '1', '--quiet', golden('input.f32'), out];
    expect(await run('encode', ...args)).toMatchObject({ code: 0, stderr: '' });
    expect((await readFile(out)).equals(await readFile(golden(`${fixtureName(type)}.imatrix.bin`)))).toBe(true);
  });

  it.each(having('.dequant.f32'))('%s decodes to the floats of ggml', async (type) => {
    const out = at(`${type}.f32`);
    expect(
      await run('decode', '--type', type, '--columns', '1024', '--threads', '1', '--quiet', golden(`${fixtureName(type)}.bin`), out),
    ).toMatchObject({
      code: 0,
    });
    expect((await readFile(out)).equals(await readFile(golden(`${fixtureName(type)}.dequant.f32`)))).toBe(true);
  });

  it('say what they wrote as JSON, and F32 keeps every bit', async () => {
    const { stdout } = await run('encode', '--type', 'f32', '--columns', '1024', '--json', '--quiet', golden('input.f32'), at('copy.f32'));
    expect(JSON.parse(stdout)).toEqual({ file: at('copy.f32'), type: 'F32', rows: 12, columns: 1024, bytes: 49152 });
    expect((await readFile(at('copy.f32'))).equals(await readFile(golden('input.f32')))).toBe(true);
  });

  it('leave nothing behind when they fail, and replace only with --force', async () => {
    const args = ['encode', '--type', 'q4_k', '--quiet', golden('input.f32')];
    const failed = await run(...args, at('failed.bin'), '--columns', '1280');
    expect(failed).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no whole number of rows: a row of 1280 columns takes 5120 bytes/),
    });
    expect((await readdir(folder)).filter((name) => name.includes('failed') || name.startsWith('.'))).toEqual([]);
    await writeFile(at('taken.bin'), 'mine');
    expect(await run(...args, at('taken.bin'), '--columns', '1024')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/taken.bin is there already.*--force/),
    });
    expect(await readFile(at('taken.bin'), 'utf8')).toBe('mine');
    expect(await run(...args, at('taken.bin'), '--columns', '1024', '--force')).toMatchObject({ code: 0 });
    expect(await run(...args, at('x.bin'), '--columns', '0')).toMatchObject({ code: 2 });
    expect(await run('encode', '--type', 'q9_9', '--columns', '32', golden('input.f32'), at('x.bin'))).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/no GGUF type "q9_9"/),
    });
  });
});

describe('calibrant gguf', () => {
  it('dumps metadata and tensors as tables and as JSON', async () => {
    const { code, stdout } = await run('dump', model, '--tensors');
    expect(code).toBe(0);
    expect(stdout).toMatch(/general\.architecture +string +llama/);
    expect(stdout).toMatch(/tokenizer\.ggml\.tokens +string\[\] +\[.*\] … \(4,096\)/);
    expect(stdout).toMatch(/token_embd\.weight +Q6_K +4096 × 256 +\d+ +860\.2 kB/);
    const dump = JSON.parse((await run('dump', model, '--json')).stdout);
    expect(dump.metadata.find((entry: { key: string }) => entry.key === 'llama.block_count')).toEqual({
      key: 'llama.block_count',
      type: 'u32',
      value: 4,
    });
    expect(dump.tensors).toHaveLength(38);
  });

  it('splits, opens, compares and merges again to the same bytes', async () => {
    expect(await run('split', model, at('parts/tiny'), '--split-max-size', '1MB', '--quiet')).toMatchObject({ code: 0 });
    const names = (await readdir(at('parts'))).sort();
    expect(names).toEqual([1, 2, 3].map((i) => `tiny-0000${i}-of-00003.gguf`));
    expect(await run('verify', path.join(at('parts'), names[2]), '--quiet')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/in order: 38 tensors.*in 3 files/),
    });
    expect(await run('diff', path.join(at('parts'), names[1]), model, '--quiet')).toMatchObject({
      code: 0,
      stdout: 'Equal: all metadata and 38 tensors.\n',
    });
    expect(await run('merge', path.join(at('parts'), names[0]), at('merged.gguf'), '--quiet')).toMatchObject({ code: 0 });
    expect((await readFile(at('merged.gguf'))).equals(await readFile(model))).toBe(true);
    expect(await run('split', model, at('parts/tiny'), '--split-max-size', '1MB', '--quiet')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/there already/),
    });
    await rm(path.join(at('parts'), names[1]));
    expect(await run('dump', path.join(at('parts'), names[0]))).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/part 2, tiny-00002-of-00003.gguf, is missing/),
    });
  });

  it('is what quantize writes in several files, which it can read and keep apart', async () => {
    const split = await runCli([
      'quantize',
      modelFolder,
      '--out',
      at('several'),
      '--scheme',
      'Q4_K_M',
      '--split-max-size',
      '1MB',
      '--quiet',
    ]);
    expect(split.code).toBe(0);
    const [first, second] = (await readdir(at('several'))).filter((name) => name.endsWith('.gguf')).sort();
    expect(first).toMatch(/-Q4_K_M-00001-of-00003\.gguf$/);
    expect(await run('diff', path.join(at('several'), second), model, '--quiet')).toMatchObject({ code: 0 });
    const kept = await runCli([
      'quantize',
      path.join(at('several'), second),
      '--out',
      at('kept'),
      '--scheme',
      'Q8_0',
      '--keep-split',
      '--quiet',
    ]);
    expect(kept.code).toBe(0);
    const names = (await readdir(at('kept'))).filter((name) => name.endsWith('.gguf')).sort();
    expect(names.map((name) => name.replace(/^.*(?=-Q8_0)/, ''))).toEqual([1, 2, 3].map((i) => `-Q8_0-0000${i}-of-00003.gguf`));
    expect(names[0]).not.toMatch(/gguf-Q8_0/);
  });

  it('lists the faults of a damaged file, with exit code 1', async () => {
    const bytes = await readFile(model);
    const { tensors } = JSON.parse((await run('dump', model, '--json')).stdout);
    const { offset } = tensors.find(({ name }: { name: string }) => name === 'blk.1.ffn_up.weight');
    bytes.set([0, 0x7c], offset + 144);
    await writeFile(at('damaged.gguf'), bytes);
    const { code, stdout } = await run('verify', at('damaged.gguf'), '--quiet');
    expect(code).toBe(1);
    expect(stdout).toMatch(/has 1 fault:\n {2}Tensor "blk.1.ffn_up.weight" \(Q4_K\): 1 of 768 blocks are unusable; block 1 has a scale/);
    const difference = await run('diff', model, at('damaged.gguf'), '--json', '--quiet');
    expect(difference.code).toBe(1);
    expect(JSON.parse(difference.stdout).tensors).toMatchObject([
      { name: 'blk.1.ffn_up.weight', kind: 'values', difference: { nonFinite: 256 } },
    ]);
    await writeFile(at('short.gguf'), bytes.subarray(0, 5000));
    expect(JSON.parse((await run('verify', at('short.gguf'), '--json')).stdout).faults).toHaveLength(1);
    expect(await run('verify', at('nothing.gguf'))).toMatchObject({ code: 1, stderr: expect.stringMatching(/does not exist/) });
  });

  it('and inspect read remote files in parts', async () => {
    const bytes = await readFile(model);
    const server = createServer((request, response) => {
      const [, start, end] = (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []).map(Number);
      const last = Math.min(end, bytes.length - 1);
      response.writeHead(206, { 'content-range': `bytes ${start}-${last}/${bytes.length}` }).end(bytes.subarray(start, last + 1));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/tiny.gguf`;
    try {
      expect(await run('diff', url, model, '--quiet')).toMatchObject({ code: 0 });
      const { code, stdout } = await runCli(['inspect', url, '--json']);
      expect(code).toBe(0);
      expect(JSON.parse(stdout).parameters).toBe(4196608);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});
