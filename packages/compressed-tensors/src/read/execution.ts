import { type ActivationGrid, type ActivationScheme, CalibrantError, type Checkpoint, type ExecutionPlan, toF32 } from '@calibrant/core';
import { readActivationArguments } from './activation-arguments.js';

type Json = Readonly<Record<string, unknown>>;

/** Names of tensors that say how the model is run, and are no weights. */
export const SCALE_PARTS = /\.(input_scale|input_global_scale|input_zero_point|[kv]_scale|[kv]_zero_point|output_scale|output_zero_point)$/;

/**
 * The grids of activations and of cached keys and values that a folder asks for, static ones with the scales that it stores.
 *
 * @param activations grids of the inputs of modules
 * @throws CalibrantError `CORRUPT_FILE` for a static grid without its scale.
 */
export async function readExecution(
  checkpoint: Checkpoint,
  activations: ReadonlyMap<string, ActivationScheme>,
  cache: Json | null | undefined,
): Promise<ExecutionPlan | undefined> {
  const grids = new Map<string, ActivationGrid>();
  for (const [module, scheme] of activations) grids.set(`${module}.weight`, await readGrid(checkpoint, `${module}.input`, scheme));
  const cacheScheme = cache ? readActivationArguments(cache) : undefined;
  const keyValueCache = cacheScheme ? await readCache(checkpoint, cacheScheme) : undefined;
  return grids.size === 0 && !keyValueCache ? undefined : { activations: grids, ...(keyValueCache ? { keyValueCache } : {}) };
}

async function readGrid(checkpoint: Checkpoint, name: string, scheme: ActivationScheme): Promise<ActivationGrid> {
  if (scheme.dynamic) return { scheme };
  if (!checkpoint.tensors.has(`${name}_scale`))
    throw new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: the config asks for a static grid, and ${name}_scale is missing.`, {
      tensor: `${name}_scale`,
    });
  const scale = await number(checkpoint, `${name}_scale`);
  if (scheme.symmetric) return { scheme, scale };
  const zero = checkpoint.tensors.has(`${name}_zero_point`) ? await number(checkpoint, `${name}_zero_point`) : 0;
  return { scheme, scale, zeroPoint: zero + 2 ** (scheme.bits - 1) };
}

async function readCache(checkpoint: Checkpoint, scheme: ActivationScheme) {
  const cache = new Map<number, { key: ActivationGrid; value: ActivationGrid }>();
  const blocks = Number(checkpoint.config.num_hidden_layers ?? 0);
  const prefixes = new Map<number, string>();
  for (const name of checkpoint.tensors.keys()) {
    const match = /^(.*\.(\d+)\.\w+)\.k_scale$/.exec(name);
    if (match) prefixes.set(Number(match[2]), match[1]);
  }
  for (let block = 0; block < blocks; block++) {
    const prefix = prefixes.get(block) ?? `model.layers.${block}.self_attn`;
    const [key, value] = [await readGrid(checkpoint, `${prefix}.k`, scheme), await readGrid(checkpoint, `${prefix}.v`, scheme)];
    cache.set(block, { key, value });
  }
  return cache.size > 0 ? cache : undefined;
}

async function number(checkpoint: Checkpoint, name: string): Promise<number> {
  return toF32(await checkpoint.read(name))[0];
}
