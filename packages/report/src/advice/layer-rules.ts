import type { LayerError, ReportData } from '../data.js';
import { percent } from '../plots/draw.js';
import { type Advice, recipeNames } from './advice.js';

/** A tenth of the layers that holds this share of the error is worth more bits. */
const CONCENTRATED = 0.35;

/** Layers that lose less of their output's energy are not what limits a model. */
const HARDLY_LOST = 0.005;

/** Few layers that carry much of the error: keep them on a finer grid. */
export function concentratedError({ layers = [] }: ReportData): Advice | undefined {
  if (layers.length < 10) return undefined;
  const sorted = [...layers].sort((a, b) => errorOf(b) - errorOf(a));
  const few = sorted.slice(0, Math.max(1, Math.round(layers.length / 10)));
  const total = sum(layers);
  const share = total > 0 ? sum(few) / total : 0;
  if (share < CONCENTRATED || errorOf(few[0]) < HARDLY_LOST) return undefined;
  return {
    finding: `A few layers limit quality: ${few.length} of ${layers.length} carry ${percent(share)} of all error.`,
    evidence: few
      .slice(0, 5)
      .map((layer) => `${layer.name} ${percent(errorOf(layer))}`)
      .join(', '),
    next: {
      change: 'Leave the worst layers unquantized, or give them more bits.',
      options: few
        .slice(0, 3)
        .map(({ name }) => `--keep ${name}`)
        .join(' '),
      expectation: `up to ${percent(share)} of the summed layer error could go; layers interact, so the loss of the whole model falls by an unknown part of that`,
    },
    weight: Math.min(1, share),
  };
}

/** One kind of layer that is worse than the others in every block. */
export function worstRole(data: ReportData): Advice | undefined {
  const { layers = [] } = data;
  const roles = groupByRole(layers);
  if (roles.size < 2) return undefined;
  const means = [...roles].map(([role, of]) => ({ role, mean: sum(of) / of.length, count: of.length })).sort((a, b) => b.mean - a.mean);
  const others = means.slice(1).reduce((total, { mean }) => total + mean, 0) / (means.length - 1);
  if (means[0].mean < HARDLY_LOST || means[0].mean < 2 * others || means[0].count < 2) return undefined;
  return {
    finding: `The ${means[0].role} layers lose most, in all blocks.`,
    evidence: `mean error ${percent(means[0].mean)} against ${percent(others)} of the other kinds`,
    next: {
      change: `Give the ${means[0].role} layers a finer grid (smaller groups or more bits).`,
      options: `--recipe with "overrides": { "*${means[0].role}.weight": "${recipeNames(data).blocks ? 'Q8_0' : 'int8-g128-sym'}" }`,
      expectation: 'the error of these layers falls about 200-fold from 4 to 8 bits; their share of the size doubles',
    },
    weight: 0.4,
  };
}

function groupByRole(layers: readonly LayerError[]): Map<string, LayerError[]> {
  const groups = new Map<string, LayerError[]>();
  for (const layer of layers) groups.set(layer.role, [...(groups.get(layer.role) ?? []), layer]);
  return groups;
}

function errorOf({ outputError, weightError }: LayerError): number {
  return outputError ?? weightError;
}

function sum(layers: readonly LayerError[]): number {
  return layers.reduce((total, layer) => total + errorOf(layer), 0);
}
