import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { CalibrantError, createRegistry, type Plugin, type Registry } from '@calibrant/core';
import { officialPlugins } from './official-plugins.js';

const CONFIG_FILES = ['calibrant.config.ts', 'calibrant.config.mts', 'calibrant.config.js', 'calibrant.config.mjs'];

/** The official plug-ins, those of `calibrant.config.*` in the current folder, and those of `--plugin`. */
export async function loadRegistry(packages: readonly string[] = []): Promise<Registry> {
  const registry = createRegistry([await officialPlugins()]);
  const config = CONFIG_FILES.map((name) => path.resolve(name)).find((file) => existsSync(file));
  if (config) registry.add(...pluginsOf(await load(pathToFileURL(config).href, config), config));
  for (const name of packages) registry.add(...pluginsOf(await load(resolveName(name), name), name));
  return registry;
}

/** A package by name as seen from the current folder, or a file. */
function resolveName(name: string): string {
  if (name.startsWith('.') || path.isAbsolute(name)) return pathToFileURL(path.resolve(name)).href;
  try {
    return pathToFileURL(createRequire(path.resolve('calibrant.config.js')).resolve(name)).href;
  } catch {
    return name; // then as seen from the command's own installation
  }
}

async function load(specifier: string, name: string): Promise<Record<string, unknown>> {
  try {
    return (await import(specifier)) as Record<string, unknown>;
  } catch (cause) {
    const typescript = /\.m?ts$/.test(name) && (cause as { code?: string }).code === 'ERR_UNKNOWN_FILE_EXTENSION';
    throw new CalibrantError(
      'NOT_FOUND',
      typescript
        ? `${name} is TypeScript, which Node ${process.versions.node} does not load: use Node 22.18 or newer, or write calibrant.config.js.`
        : `Cannot load the plug-in "${name}": ${(cause as Error).message.split('\n')[0]}. Install it in the current folder, or give the path of a module.`,
      { option: '--plugin', cause },
    );
  }
}

/** `export default { plugins: [...] }` (what is listed there, maybe nothing), `export default plugin | factory`, or named exports of factories. */
function pluginsOf(module: Record<string, unknown>, name: string): Plugin[] {
  const exported = module.default ?? Object.values(module);
  const listed = (exported as { plugins?: unknown }).plugins;
  if (Array.isArray(listed)) return listed.flat().flatMap((item: unknown) => made(item, name) as Plugin | Plugin[]);
  const plugins = [exported]
    .flat()
    .flatMap((item) => made(item, name))
    .filter((item: unknown): item is Plugin => typeof item === 'object' && item !== null && 'specificationVersion' in item);
  if (plugins.length === 0)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `"${name}" exports no plug-in. Export a factory such as \`export default () => defineQuantizer({...})\`.`,
      { option: '--plugin' },
    );
  return plugins;
}

/** What a factory makes; what is no factory stays as it is. */
function made(item: unknown, name: string): unknown {
  if (typeof item !== 'function') return item;
  try {
    return (item as () => unknown)();
  } catch (cause) {
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `A plug-in of "${name}" failed when it was made: ${((cause as Error)?.message ?? String(cause)).replace(/\.$/, '')}. Correct it there, or leave the plug-in out.`,
      { option: '--plugin', cause },
    );
  }
}
