import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as everything from '@calibrant/checkpoint';
import { describe, expect, it } from '@jest/globals';

const dist = dirname(createRequire(import.meta.url).resolve('@calibrant/checkpoint'));

/** Every module that a built file of the package pulls in. */
async function importsOf(file: string, seen = new Set<string>()): Promise<Set<string>> {
  const text = await readFile(file, 'utf8');
  for (const [, specifier] of text.matchAll(/(?:from|import) '([^']+)'/g)) {
    const target = specifier.startsWith('.') ? join(dirname(file), specifier) : specifier;
    if (seen.has(target)) continue;
    seen.add(target);
    if (specifier.startsWith('.')) await importsOf(target, seen);
  }
  return seen;
}

describe('the entry for browsers', () => {
  it('imports nothing of Node, and holds the part that needs no file system', async () => {
    const imports = [...(await importsOf(join(dist, 'browser.js')))];
    expect(imports.filter((name) => name.startsWith('node:') || name.endsWith('.node.js'))).toEqual([]);
    expect(imports.filter((name) => !name.startsWith(dist)).sort()).toEqual(['@calibrant/core', 'zod']);
    const browser = (await import(join(dist, 'browser.js'))) as Record<string, unknown>;
    expect(Object.keys(browser)).toContain('readSafetensorsHeader');
    for (const name of Object.keys(browser)) expect(everything).toHaveProperty(name);
    expect([...(await importsOf(join(dist, 'index.js')))]).toContain('node:fs/promises');
  });
});
