import type { ExecutionPlan, PlannedTensor, ScalingSite, TensorScheme, TransformLinear } from '@calibrant/core';
import { type ArchitectureDescription, type FoldableInput, foldableInputs, type LinearInfo } from '@calibrant/transformer';

/** What a plan says of the tensors of the checkpoint. */
export interface PlannedGrids {
  /** The scheme of each tensor, by its name in the checkpoint. */
  readonly schemes: ReadonlyMap<string, TensorScheme>;
  readonly execution?: ExecutionPlan | undefined;
}

export function plannedGrids(plan: readonly PlannedTensor[], execution?: ExecutionPlan): PlannedGrids {
  const schemes = new Map<string, TensorScheme>();
  for (const { source, stacked, scheme } of plan)
    for (const name of stacked ?? (source === undefined ? [] : [source])) if (!schemes.has(name)) schemes.set(name, scheme);
  return { schemes, execution };
}

/** The linear layers of a block as transforms see them. */
export function transformLinears(linears: readonly LinearInfo[], grids: PlannedGrids): TransformLinear[] {
  return linears.map(({ name, input, shape }) => linearOf(name, input, shape, grids));
}

/** A place that cannot be scaled, and why. */
export interface UnfoldableInput {
  readonly block: number;
  /** The layers that read it. */
  readonly linears: readonly string[];
  readonly reason: string;
}

/** Where the channels of a model's blocks can be scaled, by block, and where not. Inputs that no quantized layer reads are left out. */
export function scalingSites(
  description: ArchitectureDescription,
  grids: PlannedGrids,
): { readonly sites: ReadonlyMap<number, readonly ScalingSite[]>; readonly unfoldable: readonly UnfoldableInput[] } {
  const sites = new Map<number, ScalingSite[]>();
  const unfoldable: UnfoldableInput[] = [];
  for (const input of foldableInputs(description)) {
    const { block, linears, reason } = input;
    if (block === 'head' || !linears.some(({ weight }) => quantizedScheme(weight.name, grids))) continue;
    const site = siteOf(input, grids);
    if (site) sites.set(block, [...(sites.get(block) ?? []), site]);
    else
      unfoldable.push({
        block,
        linears: linears.map(({ weight }) => weight.name),
        reason: reason ?? 'Its value cannot be observed as a whole.',
      });
  }
  return { sites, unfoldable };
}

/** Every place whose channels can be scaled, whatever is quantized. */
export function allScalingSites(description: ArchitectureDescription): ReadonlyMap<number, readonly ScalingSite[]> {
  const sites = new Map<number, ScalingSite[]>();
  for (const input of foldableInputs(description)) {
    const site = siteOf(input, { schemes: new Map() });
    if (site && input.block !== 'head') sites.set(input.block, [...(sites.get(input.block) ?? []), site]);
  }
  return sites;
}

function siteOf({ value, points, width, linears, previous }: FoldableInput, grids: PlannedGrids): ScalingSite | undefined {
  if (!previous || !points.includes(value)) return undefined;
  const { kind, weight, bias, offset, rows, sharedBy } = previous;
  const stored = grids.schemes.get(weight.name);
  return {
    name: weight.name.replace(/\.weight$/, ''),
    point: value,
    channels: width,
    predecessor: {
      kind,
      weight: weight.name,
      offset,
      rows,
      sharedBy,
      ...(bias ? { bias: bias.name } : {}),
      ...(kind === 'norm' && stored?.kind === 'float' ? { storedAs: stored.dtype } : {}),
    },
    linears: linears.map(({ weight: { name, shape }, point, decides }) =>
      decides ? { weight: name, point, shape: shape as [number, number] } : linearOf(name, point, shape as [number, number], grids),
    ),
  };
}

function linearOf(weight: string, point: string, shape: readonly [number, number], grids: PlannedGrids): TransformLinear {
  const scheme = quantizedScheme(weight, grids);
  const activation = grids.execution?.activations.get(weight)?.scheme;
  return { weight, point, shape, ...(scheme ? { scheme } : {}), ...(activation ? { activation } : {}) };
}

function quantizedScheme(name: string, { schemes }: PlannedGrids): TensorScheme | undefined {
  const scheme = schemes.get(name);
  return scheme?.kind === 'float' ? undefined : scheme;
}
