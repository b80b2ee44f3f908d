import {
  type Backend,
  CalibrantError,
  type Checkpoint,
  type ModelFacts,
  type PlannedTensor,
  type Recipe,
  type Registry,
  type RunOptions,
} from '@calibrant/core';
import { openModel } from '../open-model.js';
import { openRegistered } from '../open-transformer.js';
import { inputWarnings } from './input-checks.js';
import { kernelWarnings } from './kernel-checks.js';
import type { ServedLayer } from './served-layers.js';
import { tensorParallelWarnings } from './tensor-parallel.js';

/** Numbers of GPUs that larger models are split over. */
export const USUAL_GPUS: readonly number[] = [2, 4, 8];
/** Smaller models are served by one GPU. */
const SPLIT_FROM = 2e9;

/**
 * What keeps a planned output from loading, or from running fast, in vLLM and SGLang, found before anything is computed: kernel sizes, fused layers on different grids,
 * inputs on grids for which there is no kernel, groups that cannot be split over GPUs. Nothing for formats that other programs run.
 *
 * @param gpus numbers of GPUs to check; for models from 2 billion weights 2, 4 and 8 if absent
 */
export function servingWarnings(
  plan: readonly PlannedTensor[],
  facts: ModelFacts,
  format: string,
  { recipe, gpus }: { readonly recipe?: Recipe; readonly gpus?: readonly number[] | undefined },
): string[] {
  if (format === 'gguf' || plan.every(({ scheme }) => scheme.kind === 'float')) return [];
  const layers = plan
    .filter(
      ({ name, source, scheme }) =>
        scheme.kind !== 'float' || name === 'lm_head.weight' || (source !== undefined && facts.linears.has(source)),
    )
    .map(({ name, shape, scheme }): ServedLayer => ({ name, shape, scheme: scheme.kind === 'float' ? undefined : scheme }));
  const weights = plan.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const checked = gpus ?? (weights >= SPLIT_FROM ? USUAL_GPUS : []);
  const { name, options } = recipe?.quantizer ?? {};
  const scattered = name === 'gptq' && options?.actOrder === 'full' && options.staticGroups !== true;
  return [
    ...kernelWarnings(layers, format),
    ...(recipe ? inputWarnings(layers, recipe) : []),
    ...(scattered
      ? [
          'actOrder=full scatters groups over the inputs: servers run such layers slower, and several refuse them with tensor parallelism. actOrder=group-aware keeps groups together.',
        ]
      : []),
    ...checked.flatMap((count) => tensorParallelWarnings(layers, facts.config, count)),
  ];
}

export interface CheckOptions extends RunOptions {
  /** A quantized model whose codes can be read. */
  readonly model: string;
  /** Numbers of GPUs to check; 2, 4 and 8 if absent. */
  readonly gpus?: readonly number[];
  readonly registry: Registry;
  readonly backend: Backend;
}

export interface CheckResult {
  readonly model: string;
  /** How its layers are stored: `gptq int4`. */
  readonly storage: readonly string[];
  /** Numbers of GPUs that were checked. */
  readonly gpus: readonly number[];
  readonly warnings: readonly string[];
}

/**
 * {@link servingWarnings} of a model that is quantized already.
 *
 * @throws CalibrantError `UNSUPPORTED` for a model that is not quantized.
 */
export async function checkModel({ model, gpus = USUAL_GPUS, registry, backend, ...run }: CheckOptions): Promise<CheckResult> {
  const checkpoint = await openModel(model, { registry, backend, ...run });
  try {
    const linears = openRegistered(checkpoint, backend, registry, null)
      .linears()
      .map(({ name }) => name);
    const layers = [...linears, 'lm_head.weight'].flatMap((name) => servedLayer(checkpoint, name));
    const storage = [...new Set([...checkpoint.tensors.values()].flatMap((info) => (info.coded ? (info.storage ?? []) : [])))];
    if (storage.length === 0)
      throw new CalibrantError(
        'UNSUPPORTED',
        `${checkpoint.name} is not quantized in a format that servers load. Check a recipe before it runs with calibrant quantize --dry-run.`,
        { option: 'model' },
      );
    const format = storage[0].split(' ')[0];
    const warnings = [
      ...kernelWarnings(layers, format),
      ...gpus.flatMap((count) => tensorParallelWarnings(layers, checkpoint.config, count)),
    ];
    return { model, storage, gpus, warnings };
  } finally {
    await checkpoint.close();
  }
}

function servedLayer({ tensors }: Checkpoint, name: string): ServedLayer[] {
  const info = tensors.get(name);
  if (!info) return [];
  return [{ name, shape: info.shape, scheme: info.coded?.scheme, ordered: info.coded?.ordered === true }];
}
