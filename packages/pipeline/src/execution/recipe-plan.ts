import { type ActivationGrid, CalibrantError, type ExecutionPlan, type Format, type PlannedTensor, type Recipe } from '@calibrant/core';
import type { ArchitectureDescription } from '@calibrant/transformer';
import { describePlan, namedPlan } from './named-plan.js';
import { type FoundGrids, hasStaticGrids } from './static-ranges.js';

/**
 * The execution plan of a recipe: layers whose weights stay in floating point keep their inputs so too, as servers run them.
 *
 * @throws CalibrantError for grids that are none, and `UNSUPPORTED` for a format that cannot say how activations are to be rounded.
 */
export function recipePlan(
  recipe: Recipe,
  description: ArchitectureDescription,
  format: Format,
  plan: readonly PlannedTensor[],
): ExecutionPlan | undefined {
  if (recipe.activations === undefined && recipe.kvCache === undefined) return undefined;
  const { activations, ...rest } = namedPlan(description, recipe);
  const quantized = new Set(plan.flatMap(({ scheme, source, name }) => (scheme.kind === 'float' ? [] : [source ?? name])));
  const execution = { activations: new Map([...activations].filter(([name]) => quantized.has(name))), ...rest };
  if (describePlan(execution) === undefined) return undefined;
  if (!format.keepsExecution)
    throw new CalibrantError(
      'UNSUPPORTED',
      `The format "${format.name}" has no place for the grids of activations and caches. Use --format compressed-tensors, or leave --activations and --kv-cache to calibrant eval, which simulates them.`,
      { option: recipe.activations === undefined ? 'recipe.kvCache' : 'recipe.activations' },
    );
  return execution;
}

/** What calibration runs with when it is to see rounded inputs: the part of a plan that needs no scales. */
export function dynamicPart(execution: ExecutionPlan): ExecutionPlan {
  const dynamic = ({ scheme }: ActivationGrid) => scheme.dynamic;
  return {
    activations: new Map([...execution.activations].filter(([, grid]) => dynamic(grid))),
    keyValueCache: new Map([...(execution.keyValueCache ?? [])].filter(([, { key, value }]) => dynamic(key) && dynamic(value))),
  };
}

/** How an output is to be run, for people and for the record beside it. */
export interface ExecutionReport {
  readonly activations?: string;
  readonly kvCache?: string;
  /** Scale and zero point of each static grid, by the weight's name, or by `block 3 key`. */
  readonly scales?: Readonly<Record<string, { readonly scale: number; readonly zeroPoint?: number }>>;
}

export function executionReport(execution: ExecutionPlan, found: FoundGrids | undefined): ExecutionReport {
  const step = ({ scale = 1, zeroPoint }: ActivationGrid) => ({ scale, ...(zeroPoint === undefined ? {} : { zeroPoint }) });
  const scales = Object.fromEntries([
    ...[...(found?.activations ?? [])].map(([name, grid]) => [name, step(grid)] as const),
    ...[...(found?.keyValueCache ?? [])].flatMap(([block, { key, value }]) => [
      [`block ${block} key`, step(key)] as const,
      [`block ${block} value`, step(value)] as const,
    ]),
  ]);
  return { ...describePlan(execution), ...(hasStaticGrids(execution) ? { scales } : {}) };
}
