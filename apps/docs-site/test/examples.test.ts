import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseRecipe } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const site = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

describe('examples in the guide', () => {
  it.each(['guide/start.md', 'guide/calibration-sets.md', 'reference/recipe.md'])('are valid recipes: %s', (page) => {
    const recipes = blocks(page, 'json');
    expect(recipes.length).toBeGreaterThan(0);
    for (const recipe of recipes) expect(parseRecipe(JSON.parse(recipe)).version).toBe('v1');
  });

  it('compile against the packages as they are published', () => {
    const [program] = blocks('guide/start.md', 'ts');
    expect(compile(program)).toEqual([]);
    expect(compile(program.replace('createRegistry(', 'createRegister('))).not.toEqual([]);
  });
});

/** The fenced code of a language on a page. */
function blocks(page: string, language: string): string[] {
  const text = readFileSync(path.join(site, page), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, code]) => code);
}

/** What the compiler says about a program that lies in this folder. */
function compile(source: string): string[] {
  const file = path.join(site, 'test/example-of-the-guide.ts');
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    strict: true,
    noEmit: true,
    skipLibCheck: true,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => name === file || fileExists(name);
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, source, ts.ScriptTarget.ES2022) : getSourceFile(name, ...rest);
  const program = ts.createProgram([file], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}
