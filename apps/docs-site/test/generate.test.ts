import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { qualityTables } from '../generate/quality-tables.mjs';
import { readQuickstartResults } from '../generate/quickstart-results.mjs';
import { rewriteLinks } from '../generate/readme-links.mjs';
import { schemaTable } from '../generate/schema-table.mjs';

const site = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const scratch = mkdtempSync(path.join(tmpdir(), 'calibrant-docs-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('the results of the quickstart', () => {
  it('stop the build with a message when they are missing', () => {
    const missing = path.join(scratch, 'missing.json');
    const { status, stderr } = spawnSync(process.execPath, ['generate/main.mjs'], {
      cwd: site,
      env: { ...process.env, CALIBRANT_QUICKSTART_JSON: missing },
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/missing\.json is missing: .* Run `npm run quickstart` and copy quickstart-output\/results\.json/);
  });

  it('are refused with the name of the field that is wrong', () => {
    const file = path.join(scratch, 'wrong.json');
    writeFileSync(file, JSON.stringify({ model: 'tiny-llama', backend: 'cpu', seconds: 1, results: [{ name: 'RTN' }] }));
    expect(() => readQuickstartResults(file)).toThrow(/results\[0\]\.bytes/);
    writeFileSync(file, '{"model":');
    expect(() => readQuickstartResults(file)).toThrow(/wrong\.json is not valid JSON/);
  });
});

describe('links of a README', () => {
  const packages = [
    { name: 'core', folder: 'packages/core' },
    { name: 'cli', folder: 'apps/cli' },
  ];

  it('lead to the page of a package, or to the file in the repository', () => {
    const readme =
      '[core](../core) [cli](../../apps/cli/README.md#exit-codes) [source](src/index.ts) [paper](https://example.org/a.pdf) [here](#options)';
    expect(rewriteLinks(readme, 'packages/gptq', packages)).toBe(
      '[core](./core.md) [cli](./cli.md#exit-codes) [source](https://github.com/calibrant/calibrant/blob/main/packages/gptq/src/index.ts) [paper](https://example.org/a.pdf) [here](#options)',
    );
  });

  it('to a file that does not exist stop the build', () => {
    expect(() => rewriteLinks('[gone](./gone.md)', 'packages/core', packages)).toThrow('packages/core/README.md links to ./gone.md');
  });
});

describe('the table of a schema', () => {
  it('says type, range, default and meaning of each field, and follows nested objects', () => {
    const schema = z.strictObject({
      mode: z.enum(['a', 'b']).default('a').describe('this | that'),
      ratio: z.number().gt(0).lt(1),
      inner: z.strictObject({ steps: z.number().int().min(1).default(4) }).optional(),
    });
    expect(schemaTable(z.toJSONSchema(schema, { io: 'input' }) as Parameters<typeof schemaTable>[0]).split('\n')).toEqual([
      '| option | value | default | meaning |',
      '| --- | --- | --- | --- |',
      '| `mode` | `"a"`, `"b"` | `"a"` | this \\| that |',
      '| `ratio` | number, > 0, < 1 | required |  |',
      '| `inner` | object, see below | – |  |',
      '| `inner.steps` | whole number, ≥ 1 | `4` |  |',
    ]);
  });
});

describe('tables of methods', () => {
  const result = { model: 'm', bitsPerWeight: 4.25, perplexity: 20.5, meanKl: 0.0625, klStandardError: 0.001, sameTop: 0.9 };
  const measured = (results: readonly unknown[]) => ({
    text: 'held-out.txt',
    bases: [{ model: 'm', perplexity: 20, scoredTokens: 4096, protocol: 'windowed-512' }],
    groups: [{ title: 'Weights', calibration: { text: 'c.txt', samples: 64, length: 512 }, rows: [{ name: 'W4A16 RTN', results }] }],
  });

  it('have a row for each run, below that of full precision', () => {
    const tables = qualityTables(measured([result]));
    expect(tables).toContain('| full precision | 16 or 32 | 0 | 20.000 |\n| W4A16 RTN | 4.25 | 0.0625 ± 0.0010 | 20.500 |');
    expect(tables).toContain('64 sequences of 512 tokens of `c.txt`');
    expect(tables).toContain('4,096 scored tokens of `held-out.txt`');
  });

  it('are refused where a figure is missing or impossible', () => {
    expect(() => qualityTables(measured([{ ...result, meanKl: -1 }]))).toThrow();
    expect(() => qualityTables(measured([{ ...result, perplexity: undefined }]))).toThrow();
  });
});
