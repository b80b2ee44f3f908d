import { readFileSync } from 'node:fs';

const PACKAGES = ['core', 'eval', 'transformer', 'checkpoint', 'pipeline'];

/** Versions of what computed a result. */
export function versions(): Record<string, string> {
  const found: Record<string, string> = { node: process.versions.node };
  for (const name of PACKAGES) {
    const manifest = new URL(import.meta.resolve(`@calibrant/${name}/package.json`));
    found[`@calibrant/${name}`] = JSON.parse(readFileSync(manifest, 'utf8')).version;
  }
  return found;
}
