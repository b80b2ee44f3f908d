import { checkPlugin } from './check-plugin.js';
import type { ArchitecturePlugin, BackendPlugin, Calibrator, Format, Metric, Plugin, PluginKind, Quantizer, Scheme } from './contracts.js';
import type { Transform } from './transform.js';

type Definition<P extends Plugin> = Omit<P, 'specificationVersion' | 'kind'>;

function define<P extends Plugin>(kind: PluginKind, definition: Definition<P>): P {
  const plugin = { specificationVersion: 'v1', kind, ...definition } as unknown as P;
  checkPlugin(plugin);
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
