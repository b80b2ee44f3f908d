import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runCli } from './run-cli.js';

let folder: string;
const at = (name: string) => path.join(folder, name);
const TEXT = ['--calibration', evaluationTextPath, '--samples', '4', '--length', '64'];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-imatrix-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('calibrant imatrix', () => {
  it('computes, shows statistics, resumes, merges and converts', async () => {
    const made = await runCli(['imatrix', modelFolder, ...TEXT, '--out', at('a.gguf')]);
    expect(made.stdout).toMatch(/^Wrote .*a\.gguf \(gguf\) .*28 weights, 4 sequences of up to 64 tokens/);
    const shown = await runCli(['imatrix', '--show-statistics', at('a.gguf')]);
    expect(shown.stdout).toMatch(/blk\.0\.ffn_down\.weight +[\d.]+/);
    const resumed = await runCli(['imatrix', modelFolder, '--samples', '2', '--length', '32', '--resume', at('a.gguf'), '--json']);
    expect(JSON.parse(resumed.stdout)).toMatchObject({ chunks: 6, datasets: [path.basename(evaluationTextPath), 'self'] });
    const merged = await runCli([
      'imatrix',
      '--merge',
      at('a.gguf'),
      '--merge',
      at('a.gguf'),
      '--out',
      at('b.dat'),
      '--format',
      'dat',
      '--json',
    ]);
    expect(JSON.parse(merged.stdout)).toMatchObject({ chunks: 12, layout: 'dat', entries: 28 });
  });

  it('refuses to replace a file, and needs one to write', async () => {
    expect(await runCli(['imatrix', '--merge', at('a.gguf'), '--out', at('b.dat')])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/exists already.*--force/),
    });
    expect(await runCli(['imatrix', modelFolder])).toMatchObject({ code: 2, stderr: expect.stringMatching(/--out/) });
  });
});

describe('calibrant quantize for GGUF', () => {
  const json = async (...args: string[]) => JSON.parse((await runCli(['quantize', modelFolder, ...args, '--json', '--quiet'])).stdout);

  it('takes an importance matrix from a file, or computes it on a text', async () => {
    expect((await json('--dry-run', '--imatrix', at('b.dat'))).recipe.importance).toEqual({ file: at('b.dat') });
    const { importance, recipe } = await json('--out', at('text'), '--imatrix', evaluationTextPath, '--samples', '2', '--length', '32');
    expect(recipe.importance.calibration).toMatchObject({ source: 'file', samples: 2, length: 32 });
    expect(importance).toMatchObject({ file: 'computed', chunks: 2, entries: 28 });
  });

  it('gives single tensors the types that are named, the first match counting', async () => {
    const { tensors } = await json(
      '--dry-run',
      ...['blk.0.attn_v.weight=Q8_0', 'attn_v=q6_k', 'token_embd=Q4_0'].flatMap((type) => ['--tensor-type', type]),
    );
    const typeOf = (name: string) => tensors.find((tensor: { name: string }) => tensor.name === name).scheme;
    expect(['blk.0.attn_v', 'blk.1.attn_v', 'token_embd', 'blk.0.attn_q'].map((name) => typeOf(`${name}.weight`))).toEqual([
      'Q8_0',
      'Q6_K',
      'Q4_0',
      'Q4_K',
    ]);
  });

  it('lists every tensor with its type and size in a dry run without --out', async () => {
    const { stdout, code } = await runCli(['quantize', modelFolder, '--dry-run', '--pure']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/blk\.3\.ffn_down\.weight +256 × 768 +Q4_K +110\.6 kB/);
    expect(stdout).toMatch(/total +4\.\d{4} bits per weight +2\.\d+ MB/);
  });

  it('sets metadata, and says of a value that it does not fit', async () => {
    const { files } = await json(
      '--out',
      at('kv'),
      '--scheme',
      'Q8_0',
      '--override-kv',
      'general.license=str:mit',
      '--override-kv',
      'x.y=int:-3',
    );
    const start = (await readFile(files[0])).subarray(0, 2 ** 20).toString('latin1');
    expect(start).toMatch(/general\.license.{12}mit/s);
    expect(start).toContain('x.y');
    const bad = await runCli(['quantize', modelFolder, '--dry-run', '--override-kv', 'a=int:x']);
    expect(bad).toMatchObject({ code: 2, stderr: expect.stringMatching(/KEY=TYPE:VALUE/) });
    const run = await runCli(['quantize', modelFolder, '--out', at('bad'), '--override-kv', 'general.alignment=int:64']);
    expect(run.stderr).toMatch(/"general\.alignment" says how the file is laid out/);
    expect(await readdir(folder)).not.toContain('bad');
  });

  it('quantizes a GGUF file again, with a warning', async () => {
    const [file] = (await readdir(at('kv'))).filter((name) => name.endsWith('.gguf'));
    const { code, stderr, stdout } = await runCli(['quantize', path.join(at('kv'), file), '--out', at('again'), '--scheme', 'Q4_0']);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^Wrote/)]);
    expect(stderr).toMatch(/warning: .*quantized already \(\d+ of 38 tensors are Q8_0\)/);
  });
});
