import { type Backend, CalibrantError, parseOptions, type Registry } from '@calibrant/core';
import { loadRegistry } from './load-plugins.js';
import { createReporter, type Reporter } from './output/reporter.js';

/** Options that every long command takes. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly backend: string;
  readonly threads?: number;
  readonly plugin?: string[];
}

export interface RunContext {
  readonly registry: Registry;
  readonly backend: Backend;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

/** Sets up what a long command needs, runs it, and cleans up whatever happens. Ctrl-C cancels; a second one ends at once. */
export async function withRun<Result>(options: CommonOptions, body: (context: RunContext) => Promise<Result>): Promise<Result> {
  return withSignal(options, async (context) => {
    const registry = await loadRegistry(options.plugin);
    const backend = await createBackend(registry, options);
    try {
      return await body({ ...context, registry, backend });
    } finally {
      context.reporter.stop();
      await backend.close();
    }
  });
}

/** {@link withRun} for a command that computes nothing: progress and Ctrl-C alone. */
export async function withSignal<Result>(
  options: { readonly quiet?: boolean },
  body: (context: Pick<RunContext, 'reporter' | 'signal'>) => Promise<Result>,
): Promise<Result> {
  const reporter = createReporter({ quiet: options.quiet ?? false });
  const abort = new AbortController();
  const ignore = () => {
    process.off('SIGINT', cancel);
    process.off('SIGTERM', cancel);
  };
  const cancel = () => {
    // A second signal has its own effect then: process.exit would tear threads out of native calls, which ends in a crash.
    ignore();
    reporter.note('Stopping; press Ctrl-C again to end at once.');
    abort.abort(new Error('interrupted'));
  };
  process.on('SIGINT', cancel);
  process.on('SIGTERM', cancel);
  try {
    return await body({ reporter, signal: abort.signal });
  } finally {
    reporter.stop();
    ignore();
  }
}

async function createBackend(registry: Registry, { backend: name, threads }: CommonOptions): Promise<Backend> {
  const plugin = registry.get('backend', name);
  const available = await plugin.available();
  if (available !== true)
    throw new CalibrantError('UNSUPPORTED', `The backend "${name}" cannot run here: ${available}`, { option: '--backend' });
  const options = threads === undefined || name !== 'cpu' ? {} : { threads };
  return plugin.create(parseOptions(plugin.options, options, 'backend'));
}
