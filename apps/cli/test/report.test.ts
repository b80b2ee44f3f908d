import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runCli } from './run-cli.js';

let folder: string;
const at = (name: string) => path.join(folder, name);
const measured = ['--base', modelFolder, '--text', evaluationTextPath, '--windows', '2', '--quiet'];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-report-'));
  for (const scheme of ['Q8_0', 'Q4_0']) await runCli(['quantize', modelFolder, '--scheme', scheme, '--out', at(scheme), '--quiet']);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('calibrant report', () => {
  it('writes a page, a model card and JSON, and says the summary and the advice', async () => {
    const { code, stdout } = await runCli(['report', at('Q4_0'), ...measured, '--out', at('Q4_0-report')]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Q4_0 by rtn: 2\.\d+ MB \(5\.\d+ bits per weight\)/);
    expect(stdout).toContain('--method gptq');
    expect((await readdir(at('Q4_0-report'))).sort()).toEqual(['README.md', 'report.html', 'report.json']);
    const data = JSON.parse(await readFile(at('Q4_0-report/report.json'), 'utf8'));
    expect(data.layers).toHaveLength(29);
    expect(data.channels).toHaveLength(6);
    expect(data.channels[0].after).toHaveLength(data.channels[0].before.length);
    expect(data.quality.divergence.mean.value).toBeGreaterThan(0.01);
    expect(data.recipe.scheme.name).toBe('Q4_0');
    // A report is passed on: no folder of this machine is in it.
    expect(JSON.stringify(data)).not.toContain(folder);
    expect(await readFile(at('Q4_0-report/report.html'), 'utf8')).not.toContain(path.dirname(modelFolder));
  });

  it('shows earlier runs in the plot of size against quality; compare puts them in a table and a page', async () => {
    // As a run for a target size leaves it.
    const saved = JSON.parse(await readFile(at('Q8_0/calibrant.json'), 'utf8'));
    const points = [3, 4, 5].map((size) => ({ bytes: size * 1e6, bitsPerWeight: 1.9 * size, loss: 4 ** -size }));
    const target = { ...points[1], budgetBytes: 4.2e6, bound: 0.0039, frontier: points };
    await writeFile(at('Q8_0/calibrant.json'), JSON.stringify({ ...saved, target }));
    const { code } = await runCli(['report', at('Q8_0'), ...measured, '--out', at('Q8_0-report'), '--with', at('Q4_0-report')]);
    expect(code).toBe(0);
    expect(await readFile(at('Q8_0-report/report.html'), 'utf8')).toContain('Size against mean KL divergence');
    expect(await readFile(at('Q8_0-report/report.html'), 'utf8')).toMatch(/\(Pareto front\).*3\.00 MB.*4\.00 MB.*this model.*5\.00 MB/s);
    const compared = await runCli(['compare', at('Q8_0-report'), at('Q4_0-report/report.json'), '--out', at('new/compare.html')]);
    expect(compared.code).toBe(0);
    expect(compared.stdout.split('\n').filter((line) => /^ ?Q\d_0 /.test(line))).toHaveLength(2);
    expect(await readFile(at('new/compare.html'), 'utf8')).toContain('<svg');
    expect(await readdir(at('new'))).toEqual(['compare.html']);
  });

  it('shows tasks, hidden facts, greedy texts, and where the ranges of rounded activations clip', async () => {
    const calibration = ['--calibration', evaluationTextPath, '--samples', '4', '--length', '128'];
    const w8a8 = ['--scheme', 'int8-channel-sym', '--format', 'compressed-tensors', '--activations', 'int8-tensor-static'];
    expect((await runCli(['quantize', modelFolder, ...w8a8, ...calibration, '--out', at('w8a8'), '--quiet'])).code).toBe(0);
    await writeFile(at('mine.jsonl'), '{"context":"The","choices":[" end"," zebra"],"answer":0}\n');
    const asked = ['--task', at('mine.jsonl'), '--needle', '64', '--needle-trials', '1', '--drift', '4', '--drift-prompts', '2'];
    const { code, stdout } = await runCli(['report', at('w8a8'), ...measured, ...asked, '--out', at('w8a8-report')]);
    expect(code).toBe(0);
    const data = JSON.parse(await readFile(at('w8a8-report/report.json'), 'utf8'));
    expect(data.model.base).toBe('tiny-llama');
    expect(data.execution).toEqual({ activations: 'int8-tensor-static' });
    expect(data.tasks[0]).toMatchObject({ items: 1, chance: 0.5, base: { high: expect.any(Number) } });
    expect(data.longContext).toMatchObject({ trials: 1, base: { cells: expect.any(Array) } });
    expect(data.generation).toMatchObject({ prompts: 2, maxTokens: 4 });
    expect(data.ranges).toHaveLength(3);
    // A report is passed on: the calibration text is named without its folder.
    expect(data.recipe.calibration.path).toBe(path.basename(evaluationTextPath));
    const [own, ...others] = data.ranges[0].marks;
    expect(own.calibrator).toBe('this model');
    expect(others.map(({ calibrator }: { calibrator: string }) => calibrator)).toEqual(
      expect.arrayContaining(['minmax', 'percentile', 'mse', 'entropy']),
    );
    expect(stdout).toMatch(/(Rounding|Clipping) limits the activations/);
    const html = await readFile(at('w8a8-report/report.html'), 'utf8');
    for (const heading of ['Tasks', 'Facts in long texts', 'Greedy texts', 'Clipping and rounding of activations'])
      expect(html).toContain(`<h2>${heading}</h2>`);
  }, 180_000);

  it('refuses to write into a file before it measures', async () => {
    await writeFile(at('taken'), 'a');
    const { code, stderr } = await runCli(['report', at('Q4_0'), ...measured, '--out', at('taken/report')]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/taken is a file, but files are to be written into it/)]);
  });

  it('refuses what is no report by its name', async () => {
    await writeFile(at('other.json'), '{"schema":"something"}');
    for (const [reference, says] of [
      [at('other.json'), 'no report of this version'],
      [at('nowhere'), 'There is no report at'],
    ]) {
      const { code, stderr } = await runCli(['compare', reference]);
      expect(code).not.toBe(0);
      expect(stderr).toContain(says);
      expect(stderr).not.toContain('    at ');
    }
  });
});
