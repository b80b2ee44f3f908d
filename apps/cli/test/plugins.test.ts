import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runCli } from './run-cli.js';

const PLUGIN = `{ specificationVersion: 'v1', kind: 'calibrator', name: 'NAME', meta: { description: 'test', package: 'test' }, options: { safeParse() {}, _zod: { def: { type: 'unknown' } } }, ranges: () => ({ lows: [], highs: [] }), range: () => ({ min: 0, max: 1 }) }`;
let folder: string;
const at = (name: string) => path.join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-cli-plugins-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('plug-ins from elsewhere', () => {
  it('of another version of the contract are refused', async () => {
    await writeFile(at('v2.mjs'), `export default { plugins: [{ specificationVersion: 'v2', name: 'mine', kind: 'quantizer' }] };`);
    const { code, stderr } = await runCli(['plugins', '--plugin', at('v2.mjs')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/specification version v2/);
  });

  it('that lack something are refused with what is missing', async () => {
    await writeFile(at('bare.mjs'), `export default { plugins: [{ specificationVersion: 'v1', name: 'mine', kind: 'quantizer' }] };`);
    const { code, stderr } = await runCli(['plugins', '--plugin', at('bare.mjs')]);
    expect([code, stderr]).toEqual([2, 'error: The quantizer "mine" must have meta.description and meta.package.\n']);
  });

  it('that fail when they are made are named, not taken for a fault of Calibrant', async () => {
    await writeFile(at('throws.mjs'), `export default () => { throw new Error('no licence'); };`);
    const { code, stderr } = await runCli(['plugins', '--plugin', at('throws.mjs')]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/A plug-in of ".*throws\.mjs" failed when it was made: no licence\. Correct/);
    expect(stderr).not.toContain('fault in Calibrant');
  });

  it('are found in the node_modules of the current folder', async () => {
    const own = at('project/node_modules/calibrant-quantizer-mine');
    await mkdir(own, { recursive: true });
    await writeFile(
      path.join(own, 'package.json'),
      JSON.stringify({
        name: 'calibrant-quantizer-mine',
        type: 'module',
        exports: './index.js',
      }),
    );
    await writeFile(path.join(own, 'index.js'), `export default () => (${PLUGIN.replace('NAME', 'nearby')});`);
    const { stdout } = await runCli(['plugins', '--json', '--plugin', 'calibrant-quantizer-mine'], { cwd: at('project') });
    expect(stdout).toContain('"nearby"');
  });

  it('may be none in a config file', async () => {
    await writeFile(at('calibrant.config.mjs'), 'export default { plugins: [] };');
    expect(await runCli(['plugins'], { cwd: folder })).toMatchObject({
      code: 0,
      stderr: '',
    });
  });

  it('come from several --plugin options, which leave the arguments after them alone', async () => {
    for (const name of ['one', 'two']) await writeFile(at(`${name}.mjs`), `export default () => (${PLUGIN.replace('NAME', name)});`);
    const plugins = ['--plugin', at('one.mjs'), '--plugin', at('two.mjs')];
    const inspected = await runCli(['inspect', ...plugins, modelFolder]);
    expect([inspected.code, inspected.stderr]).toEqual([0, '']);
    const keep = ['--keep', '*.layers.0.*', '--keep', '*.layers.1.*'];
    const planned = await runCli(['quantize', '--dry-run', '--json', '--quiet', ...keep, modelFolder]);
    expect(JSON.parse(planned.stdout).recipe.keep).toEqual(['*.layers.0.*', '*.layers.1.*']);
  });
});
