import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runCli } from './run-cli.js';

let folder: string;
const at = (name: string) => path.join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-cli-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('calibrant quantize', () => {
  it('writes a GGUF file and says how large it is; progress goes to stderr as plain lines', async () => {
    const { code, stdout, stderr } = await runCli(['quantize', modelFolder, '--out', at('gguf'), '--scheme', 'Q4_K_M']);
    expect(stderr).toMatch(/^Quantizing: [\d,]+ bytes in /m);
    expect(stderr).not.toContain(String.fromCharCode(27));
    expect(stdout).toMatch(/^Wrote \d.* bits per weight/);
    expect(code).toBe(0);
    expect((await readdir(at('gguf'))).some((name) => name.endsWith('.gguf'))).toBe(true);
  });

  it('prints JSON and nothing else with --json --quiet', async () => {
    const { code, stdout, stderr } = await runCli([
      'quantize',
      modelFolder,
      '--out',
      at('json'),
      '--bits',
      '8',
      '--group-size',
      'channel',
      '--symmetric',
      '--json',
      '--quiet',
    ]);
    expect([code, stderr]).toEqual([0, '']);
    const result = JSON.parse(stdout);
    expect(result.recipe.scheme.name).toBe('int8-channel-sym');
    expect(result.recipe.format.name).toBe('compressed-tensors');
    expect(result.bitsPerWeight).toBeGreaterThan(8);
  });

  it('takes a recipe file, and options over it', async () => {
    const recipe = { quantizer: { name: 'gptq', options: { dampPercent: 0.02 } }, scheme: 'int4-g64-asym', format: 'safetensors' };
    await writeFile(at('recipe.json'), JSON.stringify(recipe));
    const args = ['--recipe', at('recipe.json'), '--samples', '4', '--length', '64', '--set', 'actOrder=group-aware', '--json', '--quiet'];
    const { code, stdout } = await runCli(['quantize', modelFolder, '--out', at('recipe'), ...args]);
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result.recipe.quantizer).toEqual({ name: 'gptq', options: { dampPercent: 0.02, actOrder: 'group-aware' } });
    expect(result.recipe.calibration).toMatchObject({ source: 'self', samples: 4, length: 64 });
    expect(JSON.parse(await readFile(path.join(at('recipe'), 'calibrant.json'), 'utf8')).recipe.scheme.name).toBe('int4-g64-asym');
  });

  it('shows the plan alone with --dry-run', async () => {
    const { code, stdout } = await runCli(['quantize', modelFolder, '--out', at('dry'), '--dry-run']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Would write .*\n(.*\n)* {2}Q4_K: \d+ tensors/);
    expect(await readdir(folder)).not.toContain('dry');
  });

  it('calibrates on a text file, and warns with the number when there is little of it', async () => {
    const args = ['--method', 'gptq', '--bits', '4', '--calibration', evaluationTextPath, '--samples', '16', '--length', '128'];
    const { code, stderr } = await runCli(['quantize', modelFolder, '--out', at('text'), ...args]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^warning: .*16/m);
  });

  it('stops cleanly on Ctrl-C with exit code 130, leaving nothing', async () => {
    let killed = false;
    const { code, stderr } = await runCli(
      [
        'quantize',
        modelFolder,
        '--out',
        at('interrupted'),
        '--method',
        'gptq',
        '--bits',
        '4',
        '--samples',
        '256',
        '--length',
        '512',
        '--calibration',
        evaluationTextPath,
      ],
      {
        onStderr(text, kill) {
          if (killed || !/Quantizing/.test(text)) return;
          killed = true;
          kill('SIGINT');
        },
      },
    );
    expect(code).toBe(130);
    expect(stderr).toMatch(/Stopping/);
    expect((await readdir(folder)).filter((name) => name.includes('interrupted'))).toEqual([]);
  });
});

describe('errors are one paragraph on stderr and a non-zero exit', () => {
  beforeAll(() => writeFile(at('null.json'), 'null'));

  it.each([
    ['a missing folder', ['quantize', '/no/such/model', '--out', 'out'], 1, /no file or folder "\/no\/such\/model"/],
    ['a missing option', ['quantize', modelFolder], 2, /--out/],
    ['a slip in an option', ['quantize', modelFolder, '--out', 'o', '--sheme', 'Q8_0'], 2, /--scheme/],
    ['an unknown scheme', ['quantize', modelFolder, '--out', 'o', '--scheme', 'Q4_K_N'], 2, /Did you mean "Q4_K_M"/],
    ['an unknown method', ['quantize', modelFolder, '--out', 'o', '--method', 'gtpq', '--bits', '4'], 2, /Did you mean "gptq"/],
    [
      'a group size that does not divide',
      ['quantize', modelFolder, '--out', 'o', '--bits', '4', '--group-size', '96'],
      2,
      /does not divide/,
    ],
    [
      'an unknown option of the method',
      ['quantize', modelFolder, '--out', 'o', '--method', 'gptq', '--bits', '4', '--set', 'actOrdr=full'],
      2,
      /actOrder/,
    ],
    ['a width that GGUF lacks', ['quantize', modelFolder, '--out', 'o', '--bits', '3', '--format', 'gguf'], 2, /Q4_K_M/],
    ['a width that no grid has', ['quantize', modelFolder, '--out', 'o', '--bits', '9'], 2, /2 to 8 bits.*asks for 9/],
    [
      'a scheme that the format cannot hold',
      ['quantize', modelFolder, '--out', 'o', '--scheme', 'Q4_K_M', '--format', 'safetensors'],
      2,
      /cannot hold.*Use the format gguf/,
    ],
    ['a missing recipe', ['quantize', modelFolder, '--out', 'o', '--recipe', 'none.json'], 2, /none\.json: ENOENT/],
    ['a recipe that is no object', ['quantize', modelFolder, '--out', 'o', '--recipe', 'null.json'], 2, /JSON object, found null/],
    ['an unknown backend', ['quantize', modelFolder, '--out', 'o', '--backend', 'cuda'], 2, /backend/],
    ['an unknown command', ['quantise', modelFolder], 2, /quantize/],
  ])('%s', async (_, args, expected, message) => {
    const { code, stderr, stdout } = await runCli(args, { cwd: folder });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect([code, stdout]).toEqual([expected, '']);
    expect(await readdir(folder)).not.toContain('o');
  });

  it('come as JSON on stdout with --json', async () => {
    const { code, stdout } = await runCli(['inspect', '/no/such/model', '--json']);
    expect(code).toBe(1);
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('calibrant eval', () => {
  it('prints perplexity and divergence', async () => {
    const { code, stdout } = await runCli(['eval', modelFolder, '--base', modelFolder, '--text', evaluationTextPath, '--windows', '2']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/perplexity +\d+\.\d{4} ±/);
    expect(stdout).toMatch(/same top token +100\.00 ± 0\.00 %/);
    expect(stdout).toMatch(/expected calibration error +\d+\.\d\d ± \d+\.\d\d %/);
    expect(stdout).toContain('windowed-512');
  });

  it('runs a model with rounded inputs and caches, and names grids for a wrong one', async () => {
    const args = ['eval', modelFolder, '--text', evaluationTextPath, '--windows', '1', '--window-size', '64'];
    const { code, stdout } = await runCli([...args, '--activations', 'int8-token', '--kv-cache', 'fp8']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/inputs of layers +int8-token/);
    expect(stdout).toMatch(/key\/value cache +fp8-token/);
    const wrong = await runCli([...args, '--activations', 'w8a8']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('Names look like int8-token');
  });
});

describe('calibrant eval on tasks', () => {
  it('prints accuracies with intervals beside the base, and names the row that is wrong', async () => {
    await writeFile(at('mine.jsonl'), '{"context": "The sky is", "choices": ["blue", "carpet"], "answer": 0}\n');
    const { code, stdout } = await runCli(['eval', modelFolder, '--base', modelFolder, '--task', at('mine.jsonl'), '--quiet']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/mine +1 +100\.0 % \(20\.7 to 100\.0\) +100\.0 % \(20\.7 to 100\.0\) +0\.0 % \(0\.0 to 79\.3\) +0 \/ 0 +1\.0/);
    await writeFile(at('wrong.jsonl'), '{"context": "The sky is", "choices": ["blue", "carpet"], "answer": 2}\n');
    const wrong = await runCli(['eval', modelFolder, '--task', at('wrong.jsonl'), '--quiet']);
    expect([wrong.code, wrong.stdout]).toEqual([2, '']);
    expect(wrong.stderr).toMatch(/^error: .*wrong\.jsonl:1: "answer" is 2, but there are 2 choices \(0 to 1\)\.$/m);
  });
});

describe('calibrant inspect', () => {
  it('shows a folder and a GGUF file', async () => {
    const model = await runCli(['inspect', modelFolder, '--tensors']);
    expect(model.stdout).toContain('4,196,608');
    expect(model.stdout).toContain('model.layers.3.mlp.down_proj.weight');
    const { files } = JSON.parse(
      (await runCli(['quantize', modelFolder, '--out', at('inspected'), '--scheme', 'Q8_0', '--json', '--quiet'])).stdout,
    );
    const gguf = JSON.parse((await runCli(['inspect', files[0], '--json'])).stdout);
    expect(gguf.types.map(({ type }: { type: string }) => type.toLowerCase())).toContain('q8_0');
  });
});

describe('calibrant doctor and plugins', () => {
  it('say what this machine offers', async () => {
    const { stdout, stderr } = await runCli(['doctor', '--json']);
    // Dawn warns on stderr where there is no Vulkan.
    expect(stderr).toBe('');
    const findings = JSON.parse(stdout);
    const cpu = findings.find(({ what }: { what: string }) => what === 'backend cpu');
    expect(cpu).toMatchObject({ state: 'ok', detail: expect.stringMatching(/onnxruntime|wasm/i) });
    expect(findings.map(({ what }: { what: string }) => what)).toContain('backend webgpu');
  });

  it('list what is registered, with the JSON Schema of the options', async () => {
    const list = JSON.parse((await runCli(['plugins', '--json'])).stdout);
    const gptq = list.find(({ name }: { name: string }) => name === 'gptq');
    expect(gptq).toMatchObject({ kind: 'quantizer', package: '@calibrant/gptq' });
    expect(Object.keys(gptq.options.properties)).toContain('actOrder');
  });
});
