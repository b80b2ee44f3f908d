import { CalibrantError } from '../errors.js';
import { nearest } from '../nearest.js';
import type {
  ArchitecturePlugin,
  BackendPlugin,
  Calibrator,
  Format,
  Metric,
  Plugin,
  PluginKind,
  Quantizer,
  Scheme,
  Transform,
} from './contracts.js';

interface ByKind {
  quantizer: Quantizer;
  transform: Transform;
  calibrator: Calibrator;
  scheme: Scheme;
  format: Format;
  architecture: ArchitecturePlugin;
  backend: BackendPlugin;
  metric: Metric;
}

/** Packages that provide a name which is not registered, for the message of an unknown name. */
const OFFICIAL: Readonly<Record<string, string>> = {
  rtn: '@calibrant/rtn',
  gptq: '@calibrant/gptq',
  gguf: '@calibrant/gguf-format',
  'compressed-tensors': '@calibrant/compressed-tensors',
  safetensors: '@calibrant/compressed-tensors',
  cpu: '@calibrant/backend-cpu',
  webgpu: '@calibrant/backend-webgpu',
};

/**
 * Holds the plug-ins that a program named; nothing is discovered by itself.
 *
 * @example
 * const registry = createRegistry([rtn(), ggufFormat()]);
 * registry.get('quantizer', 'rtn');
 */
export interface Registry {
  add(...plugins: readonly Plugin[]): void;
  /** @throws CalibrantError `UNKNOWN_NAME` with the nearest known name. */
  get<Kind extends PluginKind>(kind: Kind, name: string): ByKind[Kind];
  find<Kind extends PluginKind>(kind: Kind, name: string): ByKind[Kind] | undefined;
  list<Kind extends PluginKind>(kind: Kind): readonly ByKind[Kind][];
  all(): readonly Plugin[];
}

export function createRegistry(plugins: readonly (Plugin | readonly Plugin[])[] = []): Registry {
  const byKey = new Map<string, Plugin>();
  const ordered: Plugin[] = [];
  const key = (kind: PluginKind, name: string) => `${kind}:${name.toLowerCase()}`;

  const registry: Registry = {
    add(...added) {
      for (const plugin of added) {
        if (plugin?.specificationVersion !== 'v1')
          throw new CalibrantError(
            'UNSUPPORTED',
            `The plug-in "${plugin?.name ?? String(plugin)}" has specification version ${String(plugin?.specificationVersion)}, this version of @calibrant/core reads v1. Install a version of the plug-in made for it.`,
          );
        for (const name of [plugin.name, ...(plugin.aliases ?? [])]) {
          const existing = byKey.get(key(plugin.kind, name));
          if (existing)
            throw new CalibrantError(
              'DUPLICATE_NAME',
              `Two plug-ins provide the ${plugin.kind} "${name}": ${existing.meta.package} and ${plugin.meta.package}. Register only one of them.`,
            );
          byKey.set(key(plugin.kind, name), plugin);
        }
        ordered.push(plugin);
      }
    },
    find(kind, name) {
      return byKey.get(key(kind, name)) as never;
    },
    get(kind, name) {
      const found = registry.find(kind, name);
      if (found) return found;
      const known = ordered.filter((plugin) => plugin.kind === kind).map((plugin) => plugin.name);
      const close = nearest(name, known);
      const provider = OFFICIAL[name.toLowerCase()];
      throw new CalibrantError(
        'UNKNOWN_NAME',
        [
          `There is no ${kind} named "${name}".`,
          provider ? `It is provided by ${provider}: install it and name it with --plugin or in calibrant.config.ts.` : undefined,
          close ? `Did you mean "${close}"?` : undefined,
          known.length > 0 ? `Known: ${known.join(', ')}.` : `No ${kind} is registered.`,
        ]
          .filter(Boolean)
          .join(' '),
        { option: kind },
      );
    },
    list(kind) {
      return ordered.filter((plugin) => plugin.kind === kind) as never;
    },
    all: () => ordered,
  };
  registry.add(...plugins.flat());
  return registry;
}
