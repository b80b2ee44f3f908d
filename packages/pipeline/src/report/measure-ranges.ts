import {
  type ActivationGrid,
  activationSchemeName,
  type BoundCalibrator,
  bindCalibrator,
  type GridForm,
  type Registry,
  type RunOptions,
  type ValueStatistics,
} from '@calibrant/core';
import type { RangeMark, ValueRanges } from '@calibrant/report';
import type { Transformer } from '@calibrant/transformer';
import { collectInputs } from '../statistics/collect-inputs.js';
import { coarser, levelOf, lossOf, observed } from './clipping-loss.js';

/** Inputs that a report draws. */
const SHOWN = 3;

/** The grid that calibrators are compared on where the model rounds no activations. */
const USUAL: GridForm = { bits: 8, symmetric: true };

export interface MeasureRangesInput extends RunOptions {
  readonly quantized: Transformer;
  readonly sequences: readonly Int32Array[];
  readonly registry: Registry;
}

/**
 * The values that flow into linear layers of the quantized model, and where calibrators would clip them on one grid for all: the inputs that lose most by it, in the order of the
 * model. A model with static grids of its own has these as one more mark.
 */
export async function measureRanges({ quantized, sequences, registry, ...run }: MeasureRangesInput): Promise<ValueRanges[]> {
  const calibrators = registry.list('calibrator').map(({ name }) => bindCalibrator(registry, { name, options: {} }));
  const seen = new Set<ValueStatistics>();
  const all: ValueRanges[] = [];
  for (const [name, statistics] of (await collectInputs(quantized, sequences, run)).inputs) {
    // Layers that read one value share its statistics.
    if (seen.has(statistics) || statistics.tokens === 0) continue;
    seen.add(statistics);
    const grid = quantized.execution?.activations.get(name);
    const marks = marksOf(statistics, grid, calibrators);
    all.push({ name, grid: nameOf(grid), ...coarser(statistics.histogram), marks });
  }
  const loss = ({ marks }: ValueRanges) => marks[0].clipping + marks[0].rounding;
  const worst = new Set([...all].sort((a, b) => loss(b) - loss(a)).slice(0, SHOWN));
  return all.filter((ranges) => worst.has(ranges));
}

/** The range of the model itself comes first where it has one, else the whole range. */
function marksOf(statistics: ValueStatistics, grid: ActivationGrid | undefined, calibrators: readonly BoundCalibrator[]): RangeMark[] {
  const form = grid?.scheme.type === 'int' ? { bits: grid.scheme.bits, symmetric: grid.scheme.symmetric } : USUAL;
  const whole = observed(statistics);
  const mark = (calibrator: string, range: { readonly low: number; readonly high: number }): RangeMark => ({
    calibrator,
    // A symmetric grid reaches as far where no value is: the plot shows where values end.
    low: Math.max(range.low, whole.low),
    high: Math.min(range.high, whole.high),
    ...lossOf(statistics.histogram, levelOf(form, range)),
  });
  const own = grid && ownRange(grid);
  return [
    ...(own ? [mark('this model', own)] : []),
    ...calibrators.map((calibrator) => mark(calibrator.name, calibrator.range(statistics, form))),
  ];
}

/** What a static grid of integers spans; undefined for others. */
function ownRange({ scheme, scale, zeroPoint }: ActivationGrid): { low: number; high: number } | undefined {
  if (scheme.dynamic || scheme.type !== 'int' || scale === undefined) return undefined;
  const zero = zeroPoint ?? 2 ** (scheme.bits - 1);
  return { low: -scale * zero, high: scale * (2 ** scheme.bits - 1 - zero) };
}

function nameOf(grid: ActivationGrid | undefined): string {
  return grid ? activationSchemeName(grid.scheme) : 'float';
}
