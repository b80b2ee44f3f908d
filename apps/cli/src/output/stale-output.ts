import { readdir } from 'node:fs/promises';
import path from 'node:path';

/** Says of folders that a killed run for the same output left beside it. They may also belong to a run under way, so that only a person can remove them. */
export async function staleOutputWarnings(out: string): Promise<string[]> {
  const parent = path.dirname(path.resolve(out));
  const prefix = `.${path.basename(path.resolve(out))}.`;
  const names = await readdir(parent).catch(() => []);
  return names
    .filter((name) => name.startsWith(prefix) && /^(partial|old)-[0-9a-f]{12}$/.test(name.slice(prefix.length)))
    .map(
      (name) => `warning: ${path.join(parent, name)} is left from a run that was killed. Remove it unless another run is writing there.`,
    );
}
