import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runCli } from './run-cli.js';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-cli-pipes-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const quantize = (out: string, closed: readonly ('stdout' | 'stderr')[]) =>
  runCli(['quantize', modelFolder, '--out', path.join(folder, out), '--method', 'gptq', '--samples', '4', '--length', '64'], {
    onStderr: (_, _kill, close) => closed.forEach(close),
  });

describe('a reader that goes away', () => {
  it('from stderr leaves the run to go on without reports', async () => {
    const { code, stdout } = await quantize('unreported', ['stderr']);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^Wrote/)]);
    expect(await readdir(folder)).toEqual(['unreported']);
  });

  it('from both, as `2>&1 | head -1` has it, gives a failure without files half written', async () => {
    const { code, stdout } = await quantize('unread', ['stderr', 'stdout']);
    expect([code, stdout]).toEqual([1, '']);
    expect((await readdir(folder)).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

describe('what a killed run left', () => {
  it('is mentioned by the next one and not removed', async () => {
    const left = path.join(folder, '.again.partial-0123456789ab');
    await mkdir(left);
    const { code, stderr } = await runCli(['quantize', modelFolder, '--out', path.join(folder, 'again'), '--scheme', 'Q8_0']);
    expect([code, stderr]).toEqual([0, expect.stringContaining(`warning: ${left} is left from a run that was killed.`)]);
    expect(await readdir(folder)).toContain(path.basename(left));
  });
});
