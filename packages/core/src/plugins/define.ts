import { CalibrantError } from '../errors.js';
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

type Definition<P extends Plugin> = Omit<P, 'specificationVersion' | 'kind'>;

function define<P extends Plugin>(kind: PluginKind, definition: Definition<P>): P {
  const plugin = { specificationVersion: 'v1', kind, ...definition } as unknown as P;
  if (!/^[a-z0-9][a-z0-9._-]*$/i.test(plugin.name))
    throw new CalibrantError('INVALID_ARGUMENT', `A ${kind}'s name must be letters, digits, ".", "_" or "-", found "${plugin.name}".`);
  if (!plugin.meta?.description || !plugin.meta.package)
    throw new CalibrantError('INVALID_ARGUMENT', `The ${kind} "${plugin.name}" must have meta.description and meta.package.`);
  return Object.freeze(plugin);
}

export const defineQuantizer = <O>(definition: Definition<Quantizer<O>>): Quantizer<O> => define('quantizer', definition);
export const defineTransform = <O>(definition: Definition<Transform<O>>): Transform<O> => define('transform', definition);
export const defineCalibrator = <O>(definition: Definition<Calibrator<O>>): Calibrator<O> => define('calibrator', definition);
export const defineScheme = <O>(definition: Definition<Scheme<O>>): Scheme<O> => define('scheme', definition);
export const defineFormat = <O>(definition: Definition<Format<O>>): Format<O> => define('format', definition);
export const defineArchitecture = <D>(definition: Definition<ArchitecturePlugin<D>>): ArchitecturePlugin<D> =>
  define('architecture', definition);
export const defineBackend = <O>(definition: Definition<BackendPlugin<O>>): BackendPlugin<O> => define('backend', definition);
export const defineMetric = <O>(definition: Definition<Metric<O>>): Metric<O> => define('metric', definition);
