import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

// Inside the workspace, so that the package finds its dependencies, in a folder that git ignores.
mkdirSync('.turbo', { recursive: true });
const scratch = mkdtempSync(path.resolve('.turbo/new-quantizer-'));
const folder = path.join(scratch, 'my-method');

const run = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return { status, output: stdout + stderr };
};
const generate = (...args: string[]) => run('tools/new-quantizer.mjs', ...args);

describe('npm run new:quantizer', () => {
  let made: ReturnType<typeof generate>;
  beforeAll(() => {
    made = generate('my-method', '--out', folder);
  });
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  it('makes a package without anything left to fill in', () => {
    expect(made.status).toBe(0);
    for (const file of ['package.json', 'tsconfig.json', 'README.md', 'src/index.ts', 'src/my-method.ts', 'test/tsconfig.json'])
      expect(readFileSync(path.join(folder, file), 'utf8')).not.toMatch(/__\w+__/);
    expect(JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')).name).toBe('@calibrant/my-method');
  });

  it('that builds, type-checks, and is formatted', () => {
    const tsc = 'node_modules/typescript/bin/tsc';
    expect(run(tsc, '-b', folder)).toEqual({ status: 0, output: '' });
    expect(existsSync(path.join(folder, 'dist/index.js'))).toBe(true);
    expect(run(tsc, '-p', path.join(folder, 'test'))).toEqual({ status: 0, output: '' });
    const biome = run(
      'node_modules/@biomejs/biome/bin/biome',
      'check',
      '--vcs-enabled=false',
      path.join(folder, 'src'),
      path.join(folder, 'test'),
    );
    expect(biome).toMatchObject({ status: 0 });
  });

  it('and passes the conformance suite', () => {
    const { status, output } = run('tools/jest.mjs', '--testMatch', `${folder}/test/*.test.ts`);
    expect(output).toMatch(/Tests: +\d\d passed/);
    expect(status).toBe(0);
  });

  it('refuses a name that is taken or cannot be a package', () => {
    expect(generate('my-method', '--out', folder)).toMatchObject({ status: 1, output: expect.stringContaining('exists already') });
    expect(generate('My Method')).toMatchObject({ status: 1, output: expect.stringContaining('lower case') });
    expect(generate('core')).toMatchObject({ status: 1, output: expect.stringContaining('exists already') });
  });
});
