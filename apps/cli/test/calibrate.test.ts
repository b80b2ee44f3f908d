import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runCli } from './run-cli.js';

let folder: string;
const at = (name: string) => path.join(folder, name);
const SMALL = ['--samples', '12', '--length', '64', '--calibration', evaluationTextPath];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-calibrate-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('calibrant calibrate', () => {
  it('keeps statistics that static grids of activations are measured with, better by percentile than by minmax', async () => {
    const made = await runCli(['calibrate', modelFolder, '--out', at('stats.safetensors'), ...SMALL, '--json', '--quiet']);
    expect([made.code, made.stderr]).toEqual([0, '']);
    const { inputs, calibration } = JSON.parse(made.stdout);
    expect(inputs.map(({ layers }: { layers: string[] }) => layers.length)).toEqual([3, 1, 2, 1, 3, 1, 2, 1, 3, 1, 2, 1, 3, 1, 2, 1]);
    expect(calibration).toMatchObject({
      source: 'file',
      path: 'evaluation.txt',
      sequences: 12,
      tokens: 768,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    const divergence = async (calibrator: string) => {
      const args = ['--activations', 'int8-tensor-static', '--statistics', at('stats.safetensors'), '--activation-calibrator', calibrator];
      const { code, stdout } = await runCli([
        'eval',
        modelFolder,
        '--base',
        modelFolder,
        '--text',
        evaluationTextPath,
        '--windows',
        '1',
        ...args,
        '--json',
        '--quiet',
      ]);
      expect(code).toBe(0);
      return JSON.parse(stdout).comparison.meanKl as number;
    };
    expect(await divergence('percentile')).toBeLessThan(0.5 * (await divergence('minmax')));
  });

  it('weighs GGUF blocks by the same file, and refuses a file that exists', async () => {
    const { code, stdout } = await runCli([
      'quantize',
      modelFolder,
      '--scheme',
      'Q4_K_M',
      '--imatrix',
      at('stats.safetensors'),
      '--out',
      at('gguf'),
      '--json',
      '--quiet',
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).importance).toMatchObject({ file: 'stats.safetensors', dataset: 'evaluation.txt', entries: 28 });
    const again = await runCli(['calibrate', modelFolder, '--out', at('stats.safetensors'), ...SMALL]);
    expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/exists already.*--force/)]);
  });

  it('serves quantize without another calibration, and says what does not go with it', async () => {
    const args = ['quantize', modelFolder, '--scheme', 'int8-channel-sym', '--statistics', at('stats.safetensors')];
    const done = await runCli([...args, '--activations', 'int8-tensor-static', '--out', at('reused'), '--json', '--quiet']);
    expect([done.code, done.stderr]).toEqual([0, '']);
    expect(JSON.parse(done.stdout)).toMatchObject({
      calibration: { sequences: 12, tokens: 768 },
      recipe: { statistics: at('stats.safetensors') },
    });
    const said = await runCli([...args, '--activations', 'int8-tensor-static', '--out', at('said'), '--activation-calibrator', 'mse']);
    expect(said.stdout).toMatch(/Servers run it with inputs on int8-tensor-static: 28 static scales by mse, on 12 sequences\./);
    const both = await runCli([...args, '--samples', '8', '--out', at('both')]);
    expect([both.code, both.stderr]).toEqual([2, expect.stringMatching(/leave out --samples, or give it to calibrant calibrate/)]);
  });

  it.each([
    ['text that is too short', 'hello', /has \d+ tokens; calibration needs at least one sequence of 64, and 768 for 12/],
    ['an empty text', '', /holds no text/],
    ['UTF-16', Buffer.from('\ufeffwide text', 'utf16le'), /is UTF-16 text.*iconv/],
  ])('refuses %s, with what to do, and leaves nothing', async (_, content, message) => {
    await writeFile(at('bad.txt'), content);
    const args = [
      'calibrate',
      modelFolder,
      '--out',
      at('bad.safetensors'),
      '--samples',
      '12',
      '--length',
      '64',
      '--calibration',
      at('bad.txt'),
    ];
    const { code, stderr } = await runCli(args);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
    expect((await readdir(folder)).filter((name) => name.startsWith('bad.safe'))).toEqual([]);
  });

  it('refuses sequences longer than the model’s positions, and warns of text of another language', async () => {
    const long = await runCli(['calibrate', modelFolder, '--out', at('long.safetensors'), '--length', '100000']);
    expect([long.code, long.stderr]).toEqual([2, expect.stringMatching(/longer than the \d+ positions.*--length/)]);
    await writeFile(at('other.txt'), 'Üben ist schön, aber Straßen sind größer als Gärten. '.repeat(60));
    const args = ['--calibration', at('other.txt'), '--samples', '4', '--length', '64', '--compare-text', evaluationTextPath];
    const { stderr, stdout } = await runCli(['calibrate', modelFolder, '--out', at('other.safetensors'), ...args]);
    expect(stderr).toMatch(/far from the evaluation text: the Jensen-Shannon divergence/);
    expect(stdout).toMatch(/bits of Jensen-Shannon divergence/);
  });
});

describe('calibrant quantize --activation-calibrator', () => {
  const W8A8 = ['--scheme', 'int8-channel-sym', '--activations', 'int8-tensor-static', ...SMALL];

  it('chooses static ranges, percentile unless told', async () => {
    const scaleBy = async (name: string, args: readonly string[]) => {
      const { code, stdout } = await runCli(['quantize', modelFolder, '--out', at(name), ...W8A8, ...args, '--json', '--quiet']);
      expect(code).toBe(0);
      return JSON.parse(stdout).execution.scales['model.layers.0.mlp.down_proj.weight'].scale as number;
    };
    const whole = await scaleBy('whole', ['--activation-calibrator', 'minmax']);
    const most = await scaleBy('most', ['--activation-calibrator', 'percentile', '--activation-calibrator-option', 'percentile=99']);
    const usual = await scaleBy('usual', []);
    expect(whole).toBeGreaterThan(usual);
    expect(usual).toBeGreaterThan(most);
  });

  it.each([
    [['--activation-calibrator', 'percentil'], /Did you mean "percentile"/],
    [['--activation-calibrator-option', 'norm=2'], /needs --activation-calibrator/],
    [['--activation-calibrator', 'mse', '--activations', 'int8-token'], /chooses the ranges of static grids, and this recipe has none/],
  ])('says what is wrong with %j, and leaves nothing', async (args, message) => {
    const { code, stderr } = await runCli(['quantize', modelFolder, '--out', at('refused'), ...W8A8, ...args]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
    expect((await readdir(folder)).filter((name) => name.startsWith('refused'))).toEqual([]);
  });
});
