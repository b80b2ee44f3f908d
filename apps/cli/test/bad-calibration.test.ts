import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { copyModel, overwriteTensor } from '../../../packages/pipeline/test/fixture.js';
import { writeRandomModel } from '../../../packages/pipeline/test/random-model.js';
import { runCli } from './run-cli.js';

let folder: string;
const at = (name: string) => path.join(folder, name);
const SMALL = ['--samples', '4', '--length', '32'];
const STATIC = ['--scheme', 'int8-channel-sym', '--activations', 'int8-tensor-static'];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-bad-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What is refused leaves nothing: neither the folder nor what was to become it. */
async function refused(args: readonly string[]): Promise<string> {
  const before = await readdir(folder);
  const { code, stderr } = await runCli(['quantize', ...args, '--out', at('out')]);
  expect([1, 2]).toContain(code);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(await readdir(folder)).toEqual(before);
  return stderr;
}

/** The embedded model with a pattern of bf16 over a tensor. */
async function damagedModel(name: string, tensor: string, pattern: number, count?: number): Promise<string> {
  await copyModel(at(name));
  await overwriteTensor(at(`${name}/model.safetensors`), tensor, pattern, count);
  return at(name);
}

describe('calibration text that is none', () => {
  it.each<[string, string | Uint8Array, RegExp]>([
    ['too short', 'hello', /has \d+ tokens; calibration needs at least one sequence of 32, and 128 for 4 sequences/],
    ['empty', ' \n', /holds no text/],
    ['UTF-16', Buffer.from('\ufeffwide text'.repeat(99), 'utf16le'), /is UTF-16 text.*iconv/],
    ['Latin-1', Buffer.from('Stra\u00dfe und B\u00e4r '.repeat(99), 'latin1'), /is not UTF-8 text: byte \d+.*iconv -f LATIN1/],
    ['binary', Buffer.from(Array.from({ length: 9000 }, (_, i) => (i * i) % 251)), /is not text: byte 0 is 0/],
  ])('%s is refused', async (_, content, message) => {
    await writeFile(at('text.txt'), content);
    expect(await refused([modelFolder, '--method', 'gptq', ...SMALL, '--calibration', at('text.txt')])).toMatch(message);
  });

  it('of samples longer than the model’s positions is refused', async () => {
    const args = [modelFolder, '--method', 'gptq', '--length', '5000', '--calibration', evaluationTextPath];
    expect(await refused(args)).toMatch(/5000 tokens are longer than the 1024 positions.*--length 1024/);
  });

  it('in another language is warned about with numbers', async () => {
    await writeFile(at('other.txt'), '\u00dcben ist sch\u00f6n, aber Stra\u00dfen sind gr\u00f6\u00dfer als G\u00e4rten. '.repeat(60));
    const args = ['--method', 'gptq', ...SMALL, '--calibration', at('other.txt'), '--compare-text', evaluationTextPath];
    const { code, stderr } = await runCli(['quantize', modelFolder, ...args, '--out', at('other')]);
    expect([code, stderr]).toEqual([0, expect.stringMatching(/far from the evaluation text: the Jensen-Shannon divergence.*\d\.\d+/)]);
  });
});

describe('a model that calibration cannot observe', () => {
  it('has a NaN weight: refused by its name before any calibration', async () => {
    const model = await damagedModel('nan', 'model.layers.1.mlp.up_proj.weight', 0x7fc0, 1);
    const message = await refused([model, '--method', 'gptq', ...SMALL, '--calibration', evaluationTextPath]);
    expect(message).toMatch(/tensor model\.layers\.1\.mlp\.up_proj\.weight of model\.safetensors has 1 NaN or infinite value/);
  });

  it('overflows: refused with the block, by GPTQ, whose Hessians are NaN then, and by static ranges with the layer', async () => {
    const model = await damagedModel('overflow', 'model.layers.1.post_attention_layernorm.weight', 0x7f7f);
    const args = [...SMALL, '--calibration', evaluationTextPath];
    expect(await refused([model, '--method', 'gptq', ...args])).toMatch(
      /Block 1 makes NaN or infinite values for 128 of the 128 calibration tokens/,
    );
    expect(await refused([model, ...STATIC, ...args])).toMatch(
      /values that reach model\.layers\.1\.mlp\.gate_proj\.weight.*NaN or infinite/,
    );
  });

  it('has inputs that are always 0: quantized, with a warning that names and counts them', async () => {
    const model = await damagedModel('silent', 'model.layers.1.post_attention_layernorm.weight', 0);
    for (const [method, warning] of [
      [['--method', 'gptq'], /model\.layers\.1\.mlp\.up_proj\.weight.*no calibration token reached it/],
      [
        ['--method', 'smoothquant', ...STATIC.slice(2)],
        /2 values are 0 on every calibration token, such as model\.layers\.1\.mlp\.gate_proj\.weight/,
      ],
    ] as const) {
      const args = [...method, ...SMALL, '--calibration', evaluationTextPath, '--out', at('silent-q'), '--force'];
      const { code, stderr } = await runCli(['quantize', model, ...args]);
      expect([code, stderr]).toEqual([0, expect.stringMatching(warning)]);
    }
    const { code, stdout } = await runCli([
      'eval',
      at('silent-q'),
      '--base',
      model,
      '--text',
      evaluationTextPath,
      '--windows',
      '1',
      '--json',
      '--quiet',
    ]);
    expect([code, JSON.parse(stdout).comparison.meanKl < 0.1]).toEqual([0, true]);
  });
});

it('a transform that fits nowhere in the architecture is refused with the reasons, before anything is computed', async () => {
  await writeRandomModel(at('olmo2'), 'olmo2');
  const message = await refused([at('olmo2'), '--method', 'smoothquant', '--calibration', 'random', ...SMALL]);
  expect(message).toMatch(/"smoothquant" fits nowhere in this model \(olmo2\).*Leave it out of the recipe/s);
});
