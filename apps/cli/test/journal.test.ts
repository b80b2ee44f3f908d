import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runCli } from './run-cli.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-cli-journal-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('calibrant quantize, killed', () => {
  it('goes on when the same command is given again, to the same bytes', async () => {
    const out = (name: string) => ['--out', path.join(folder, name)];
    const gptq = ['--method', 'gptq', '--bits', '4', '--calibration', evaluationTextPath, '--samples', '4', '--length', '64'];
    const command = ['quantize', modelFolder, ...gptq, '--journal-every', '0'];
    let watch: NodeJS.Timeout | undefined;
    const killed = await runCli([...command, ...out('killed')], {
      onStderr: (_text, kill) => {
        watch ??= setInterval(() => existsSync(path.join(folder, '.killed.journal/commit')) && kill('SIGKILL'), 10);
      },
    });
    clearInterval(watch);
    expect(killed.code).toBeNull();
    const resumed = await runCli([...command, ...out('killed')]);
    expect([resumed.code, resumed.stderr]).toEqual([
      0,
      expect.stringMatching(/goes on where an earlier run of the same recipe was stopped, [123] of 4/),
    ]);
    const whole = await runCli([...command, ...out('whole'), '--no-journal']);
    expect(whole.code).toBe(0);
    const weights = (name: string) => readFile(path.join(folder, name, 'model.safetensors'), 'base64');
    expect(await weights('killed')).toEqual(await weights('whole'));
  });

  it.each(['-1', 'often'])('refuses to note every %s seconds', async (every) => {
    const { code, stderr } = await runCli(['quantize', modelFolder, '--dry-run', '--journal-every', every]);
    expect(code).not.toBe(0);
    expect(stderr).toContain('It must be a number of seconds, 0 or more.');
  });
});
