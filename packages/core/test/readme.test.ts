import { readFile } from 'node:fs/promises';
import * as core from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';

describe('README', () => {
  it('shows what its examples really print', async () => {
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
    const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
    const promised = [...example.matchAll(/console\.log\(.*\); \/\/ \w+ \[ (.*) \]/g)].map((match) => match[1].split(', ').map(Number));
    expect(promised.length).toBe(2);
    const printed: number[][] = [];
    const [, names, body] = /import \{ (.*) \} from '@calibrant\/core';\n([\s\S]*)/.exec(example) ?? [];
    const run = new Function('core', 'console', `return (async () => { const { ${names} } = core; ${body} })();`);
    await run(core, { log: (values: Float32Array) => printed.push(Array.from(values, (value) => Number(value.toFixed(6)))) });
    expect(printed).toEqual(promised);
  });

  it('names every option of a recipe', async () => {
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
    for (const option of Object.keys(core.recipeSchema.shape)) expect(readme).toContain(`| \`${option}\` |`);
  });
});
