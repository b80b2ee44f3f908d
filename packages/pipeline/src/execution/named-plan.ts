import {
  type ActivationScheme,
  activationSchemeName,
  CalibrantError,
  type Checkpoint,
  type ExecutionPlan,
  parseActivationScheme,
} from '@calibrant/core';
import { type ArchitectureDescription, planExecution } from '@calibrant/transformer';
import { matchesPattern } from '../plan/patterns.js';

/** How a model is to be run, by names. */
export interface ExecutionNames {
  /** A file of `calibrant calibrate`: static grids get their scales from it. */
  readonly statistics?: string | undefined;
  /** How ranges are chosen of the statistics; `minmax` if absent. */
  readonly calibrator?: { readonly name: string; readonly options: Record<string, unknown> } | undefined;
  /** Grid of the inputs of linear layers: `int8-token`, `fp8-token`, `int4-g128`, `int8-tensor-static`; `none` for floating point. */
  readonly activations?: string | undefined;
  /** Patterns of weight names whose layers' inputs stay in floating point. */
  readonly keepActivations?: readonly string[] | undefined;
  /** Grid of cached keys and values: `fp8-token`, `int8-head` (per token and head), `int4-g64-asym`, `fp8-tensor-static`; `none` for floating point. */
  readonly kvCache?: string | undefined;
}

/**
 * The execution plan that names describe; static grids lack their scales.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` or `UNSUPPORTED` for names that are no grids, `INVALID_RECIPE` for a pattern that matches no layer.
 */
export function namedPlan(description: ArchitectureDescription, names: ExecutionNames): ExecutionPlan {
  const { keepActivations = [] } = names;
  const activations = schemeOf(names.activations, description.headDim, 'activations');
  const keyValueCache = schemeOf(names.kvCache, description.headDim, 'kvCache');
  const keep = (name: string): boolean => keepActivations.some((pattern) => matchesPattern(name, pattern));
  const plan = planExecution(description, { keep, ...(activations ? { activations } : {}), ...(keyValueCache ? { keyValueCache } : {}) });
  if (keepActivations.length > 0 && activations) checkPatterns(description, activations, keepActivations);
  return plan;
}

/**
 * The plan of a checkpoint with the parts replaced that names are given for.
 *
 * @param complete finds the scales of static grids
 */
export function overriddenPlan(
  { execution }: Checkpoint,
  description: ArchitectureDescription,
  names: ExecutionNames,
  complete: (plan: ExecutionPlan) => ExecutionPlan = (plan) => plan,
): ExecutionPlan | null {
  const named = complete(namedPlan(description, names));
  const activations = names.activations === undefined ? (execution?.activations ?? new Map()) : named.activations;
  const keyValueCache = names.kvCache === undefined ? execution?.keyValueCache : named.keyValueCache;
  const grids = [...activations.values(), ...[...(keyValueCache?.values() ?? [])].map(({ key }) => key)];
  const unknown = grids.find(({ scheme, scale }) => !scheme.dynamic && scale === undefined);
  if (unknown)
    throw new CalibrantError(
      'UNSUPPORTED',
      `The scales of the static grid ${activationSchemeName(unknown.scheme)} come from calibration. Quantize with it (calibrant quantize --activations, --kv-cache) and evaluate the output, give a file of calibrant calibrate with --statistics (for inputs of layers), or name a grid that is measured at run time, such as int8-token or fp8-token.`,
      { option: names.activations === undefined ? '--kv-cache' : '--activations' },
    );
  return grids.length === 0 ? null : { activations, ...(keyValueCache ? { keyValueCache } : {}) };
}

/** The names of a plan's grids, for people; undefined for a plan that rounds nothing. */
export function describePlan(plan: ExecutionPlan | undefined): { activations?: string; kvCache?: string } | undefined {
  const inputs = new Set([...(plan?.activations.values() ?? [])].map(({ scheme }) => activationSchemeName(scheme)));
  const caches = new Set(
    [...(plan?.keyValueCache?.values() ?? [])].flatMap(({ key, value }) => [key, value].map(({ scheme }) => activationSchemeName(scheme))),
  );
  if (inputs.size + caches.size === 0) return undefined;
  return {
    ...(inputs.size > 0 ? { activations: [...inputs].join(', ') } : {}),
    ...(caches.size > 0 ? { kvCache: [...caches].join(', ') } : {}),
  };
}

function schemeOf(name: string | undefined, headDim: number, option: string): ActivationScheme | undefined {
  if (name === undefined || name === 'none') return undefined;
  try {
    return parseActivationScheme(option === 'kvCache' ? name.replace(/-head\b/i, `-g${headDim}`) : name);
  } catch (error) {
    if (!(error instanceof CalibrantError)) throw error;
    throw new CalibrantError(error.code, error.message, { ...error.details, option });
  }
}

function checkPatterns(description: ArchitectureDescription, activations: ActivationScheme, patterns: readonly string[]): void {
  const all = [...planExecution(description, { activations }).activations.keys()];
  for (const pattern of patterns)
    if (!all.some((name) => matchesPattern(name, pattern)))
      throw new CalibrantError(
        'INVALID_RECIPE',
        `The pattern "${pattern}" in keepActivations matches no linear layer. Names look like ${all[0]}; * stands for any characters.`,
        { option: 'keepActivations' },
      );
}
