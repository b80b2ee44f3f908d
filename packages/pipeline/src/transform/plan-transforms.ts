import {
  CalibrantError,
  type ExecutionPlan,
  type PlannedTensor,
  parseOptions,
  type Recipe,
  type Registry,
  type RunOptions,
  type ScalingSite,
  type Transform,
  type TransformFacts,
} from '@calibrant/core';
import type { ArchitectureDescription } from '@calibrant/transformer';
import { plannedGrids, scalingSites } from './scaling-sites.js';

/** A transform of the recipe with its options. */
export interface RecipeTransform {
  readonly transform: Transform;
  readonly options: unknown;
}

/** A transform with the places at which it will work. */
export interface PlannedTransform extends RecipeTransform {
  readonly sites: ReadonlyMap<number, readonly ScalingSite[]>;
  /** Inputs of layers that it leaves as they are, and why. */
  readonly leftOut: readonly { readonly reason: string; readonly layers: readonly string[] }[];
}

/** What a transform did and what it left as it was. */
export interface TransformReport {
  readonly name: string;
  readonly places: readonly TransformFacts[];
  readonly leftOut: PlannedTransform['leftOut'];
}

export function transformReports(planned: readonly PlannedTransform[], facts: readonly (readonly TransformFacts[])[]): TransformReport[] {
  return planned.map(({ transform, leftOut }, i) => ({ name: transform.name, places: facts[i] ?? [], leftOut }));
}

/** Finds the transforms of a recipe and checks their options. */
export function recipeTransforms({ transforms }: Recipe, registry: Registry): RecipeTransform[] {
  return transforms.map(({ name, options }, i) => {
    const transform = registry.get('transform', name);
    return { transform, options: parseOptions(transform.options, options, `recipe.transforms.${i}.options`) };
  });
}

/**
 * Decides where each transform works. Warns of the layers that it leaves out.
 *
 * @throws CalibrantError `UNSUPPORTED` when a transform fits nowhere in the architecture, with the reasons.
 */
export function planTransforms(
  transforms: readonly RecipeTransform[],
  description: ArchitectureDescription,
  plan: readonly PlannedTensor[],
  execution: ExecutionPlan | undefined,
  { onEvent }: RunOptions,
): PlannedTransform[] {
  if (transforms.length === 0) return [];
  const { sites, unfoldable } = scalingSites(description, plannedGrids(plan, execution));
  return transforms.map(({ transform, options }) => {
    const accepted = new Map<number, ScalingSite[]>();
    const reasons = new Map<string, string[]>();
    const leaveOut = (reason: string, layers: readonly string[]) => reasons.set(reason, [...(reasons.get(reason) ?? []), ...layers]);
    for (const { reason, linears } of unfoldable) leaveOut(reason, linears);
    for (const [block, ofBlock] of sites)
      for (const site of ofBlock) {
        const answer = transform.accepts(site, options);
        if (answer === true) accepted.set(block, [...(accepted.get(block) ?? []), site]);
        else
          leaveOut(
            answer,
            site.linears.flatMap(({ weight, scheme }) => (scheme ? [weight] : [])),
          );
      }
    const leftOut = [...reasons].map(([reason, layers]) => ({ reason, layers }));
    if (accepted.size === 0) throw fitsNowhere(transform.name, description.name, leftOut);
    for (const { reason, layers } of leftOut)
      onEvent?.({ warning: `leaves ${countOf(layers)} as they are: ${reason}`, item: transform.name });
    return { transform, options, sites: accepted, leftOut };
  });
}

function fitsNowhere(transform: string, architecture: string, leftOut: PlannedTransform['leftOut']): CalibrantError {
  const why = leftOut.map(({ reason, layers }) => `${countOf(layers)}: ${reason}`).join(' ');
  return new CalibrantError(
    'UNSUPPORTED',
    `The transform "${transform}" fits nowhere in this model (${architecture}). ${why || 'The recipe quantizes no layer inside blocks.'} Leave it out of the recipe, or use a quantizer that needs no scaling, such as gptq.`,
    { option: 'recipe.transforms' },
  );
}

function countOf(layers: readonly string[]): string {
  return `${layers.length} layer${layers.length === 1 ? '' : 's'} (${layers[0].replace(/\.weight$/, '')}${layers.length > 1 ? ', …' : ''})`;
}
