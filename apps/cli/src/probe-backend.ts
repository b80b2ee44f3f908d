import { parseOptions } from '@calibrant/core';
import { loadRegistry } from './load-plugins.js';

// A program of its own, which `calibrant doctor` runs with the name of a backend: native libraries write to stderr as they like, and one that
// crashes must not take the report with it.

/** What the program prints, as JSON. */
export interface BackendProbe {
  readonly state: 'ok' | 'absent';
  readonly detail: string;
}

/** Starts a backend once: a library that is installed and cannot run is no backend. */
async function probe(name: string): Promise<BackendProbe> {
  try {
    const plugin = (await loadRegistry()).get('backend', name);
    const available = await plugin.available();
    if (available !== true) return { state: 'absent', detail: available };
    const backend = await plugin.create(parseOptions(plugin.options, {}, 'backend'));
    const { description } = backend;
    await backend.close();
    return { state: 'ok', detail: description };
  } catch (error) {
    return { state: 'absent', detail: (error as Error).message };
  }
}

process.stdout.write(JSON.stringify(await probe(process.argv[2])));
