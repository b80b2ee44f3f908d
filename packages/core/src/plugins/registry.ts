import { CalibrantError } from '../errors.js';
import { nearest } from '../nearest.js';
import { checkPlugin } from './check-plugin.js';
import type { ArchitecturePlugin, BackendPlugin, Calibrator, Format, Metric, Plugin, PluginKind, Quantizer, Scheme } from './contracts.js';
import type { Transform } from './transform.js';

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

/** Packages that provide a name (or `kind:name`) which is not registered, for the message of an unknown name. */
const OFFICIAL: Readonly<Record<string, string>> = {
  rtn: '@calibrant/rtn',
  gptq: '@calibrant/gptq',
  smoothquant: '@calibrant/smoothquant',
  awq: '@calibrant/awq',
  mse: '@calibrant/calibrators',
  percentile: '@calibrant/calibrators',
  entropy: '@calibrant/calibrators',
  gguf: '@calibrant/gguf-format',
  'format:gptq': '@calibrant/gptq-format',
  'format:awq': '@calibrant/awq-format',
  bitsandbytes: '@calibrant/bitsandbytes-format',
  nf4: '@calibrant/bitsandbytes-format',
  fp4: '@calibrant/bitsandbytes-format',
  'llm-int8': '@calibrant/bitsandbytes-format',
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
  /** @throws CalibrantError `INVALID_ARGUMENT` for a plug-in that lacks what its kind must have; `DUPLICATE_NAME`. */
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
        checkPlugin(plugin);
        const keys = [...new Set([plugin.name, ...(plugin.aliases ?? [])].map((name) => key(plugin.kind, name)))];
        // All names are checked before any is taken: a refused plug-in leaves nothing behind.
        for (const taken of keys) {
          const existing = byKey.get(taken);
          if (existing)
            throw new CalibrantError(
              'DUPLICATE_NAME',
              `Two plug-ins provide the ${plugin.kind} "${taken.slice(plugin.kind.length + 1)}": ${existing.meta.package} and ${plugin.meta.package}. Register only one of them.`,
            );
        }
        for (const name of keys) byKey.set(name, plugin);
        ordered.push(plugin);
      }
    },
    find(kind, name) {
      return byKey.get(key(kind, name)) as never;
    },
    get(kind, name) {
      const found = registry.find(kind, name);
      if (found) return found;
      const ofKind = ordered.filter((plugin) => plugin.kind === kind);
      const known = ofKind.map((plugin) => plugin.name);
      const close = registry.find(
        kind,
        nearest(
          name,
          ofKind.flatMap((plugin) => [plugin.name, ...(plugin.aliases ?? [])]),
        ) ?? '',
      );
      const official = close
        ? name
        : (nearest(
            name,
            Object.keys(OFFICIAL).map((key) => key.replace(`${kind}:`, '')),
          ) ?? name);
      const provider = [`${kind}:${official.toLowerCase()}`, official.toLowerCase()]
        .filter((each) => Object.hasOwn(OFFICIAL, each))
        .map((each) => OFFICIAL[each])[0];
      throw new CalibrantError(
        'UNKNOWN_NAME',
        [
          `There is no ${kind} named "${name}".`,
          provider
            ? `"${official}" is provided by ${provider}: install it and name it with --plugin or in calibrant.config.ts.`
            : undefined,
          close ? `Did you mean "${close.name}" (${close.meta.package})?` : undefined,
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
