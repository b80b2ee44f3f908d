import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runCli } from './run-cli.js';

let folder: string;
const at = (name: string) => path.join(folder, name);
const TEXT = ['--calibration', evaluationTextPath, '--samples', '2', '--length', '48'];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-outliers-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('calibrant outliers', () => {
  it('makes a twin with outlier channels, and shows what is different', async () => {
    const made = await runCli(['outliers', 'inject', modelFolder, '--out', at('twin'), '--channels', '3', '--factor', '40', '--seed', '1']);
    expect(made.code).toBe(0);
    const [, listed] = /^Wrote .*twin in .*\nChannels ([\d, ]+) are 40 times as large at 8 inputs.*the function is the same/.exec(
      made.stdout,
    )!;
    const channels = listed.split(', ').map(Number);
    const compared = await runCli(['outliers', modelFolder, '--compare', at('twin'), ...TEXT, '--activations-only', '--quiet']);
    expect(compared).toMatchObject({ code: 0, stderr: '' });
    expect(compared.stdout).toMatch(/Outlier channels of the residual stream: 1 before, 4 after \(0 gone, 3 new\)/);
    for (const channel of channels) expect(compared.stdout).toContain(`${channel}: ×40`);
    const { comparison } = JSON.parse(
      (await runCli(['outliers', modelFolder, '--compare', at('twin'), ...TEXT, '--json', '--quiet'])).stdout,
    );
    expect(comparison.dimensions.added.sort((a: number, b: number) => a - b)).toEqual(channels);
  });

  it('says what it found in words, tables and bars', async () => {
    const { stdout, stderr, code } = await runCli(['outliers', modelFolder, ...TEXT]);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^Outliers of .* \(llama\), on 2 sequences \(96 tokens\) of .*\n\n• 1 of 256 channels carries values of 6 or more in 75 % of the layers/,
    );
    expect(stdout).toMatch(/attentionInput +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +\d+\/256 +[▁▂▃▄▅▆▇█]{48}/);
    expect(stdout).toMatch(/block 2 .*145 at token 0 +█{24}/);
    expect(stdout).toMatch(/… and 13 more: --all shows them/);
    expect(stderr).toMatch(/Looking at weights: 29 tensors.*\n[\s\S]*Observing activations: 4 blocks/);
  });

  it('looks at weights alone without running the model', async () => {
    const { stdout } = await runCli([
      'outliers',
      modelFolder,
      '--weights-only',
      '--sigma',
      '2',
      '--sigma',
      '5',
      '--bits',
      '3',
      '--json',
      '--quiet',
    ]);
    const { weights, inputs, calibration } = JSON.parse(stdout);
    expect([weights.length, inputs.length, calibration]).toEqual([29, 0, undefined]);
    expect(weights[0].beyond.map(({ sigmas }: { sigmas: number }) => sigmas)).toEqual([2, 5]);
    expect(weights[0].grids.map(({ bits }: { bits: number }) => bits)).toEqual([3, 3, 3]);
  });

  it.each([
    [['outliers'], 2, /missing required argument 'model'/],
    [['outliers', modelFolder, '--threshold', '-1'], 2, /above 0/],
    [['outliers', modelFolder, '--bits', '9'], 2, /from 1 to 8/],
    [['outliers', modelFolder, '--weights-only', '--activations-only'], 2, /nothing to look at/],
    [['outliers', modelFolder, '--layer-share', '3'], 2, /layerShare must be a share from 0 to 1/],
    [['outliers', 'inject', modelFolder], 2, /--out/],
    [['outliers', 'inject', modelFolder, '--out', 'x', '--dtype', 'int8'], 2, /Allowed choices are f32, source/],
    [['outliers', 'inject', './nowhere', '--out', 'x'], 1, /no file or folder "\.\/nowhere"/],
  ])('answers %j with exit code %i and a reason', async (args, code, reason) => {
    const run = await runCli(args, { cwd: folder });
    expect(run).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(reason) });
    expect(run.stderr).not.toMatch(/^\s+at /m);
    expect(await readdir(folder)).not.toContain('x');
  });
});
