import type { BufferHandle, RunOptions } from '@calibrant/core';
import {
  activationFigures,
  createActivationCollector,
  createPeakCollector,
  type DimensionCounts,
  type FigureOptions,
  type HiddenStateOutliers,
  type InputOutliers,
  type MassiveActivation,
  type OutlierCriteria,
} from '@calibrant/outliers';
import { type FoldableInput, foldableInputs, type Transformer } from '@calibrant/transformer';
import { createHiddenStates, embedSequences } from '../run/hidden-states.js';

export interface ObserveInput extends RunOptions, FigureOptions {
  readonly transformer: Transformer;
  readonly sequences: readonly Int32Array[];
  readonly criteria: OutlierCriteria;
}

export interface Observed {
  readonly inputs: readonly InputOutliers[];
  readonly hiddenStates: readonly HiddenStateOutliers[];
  readonly dimensionCounts: readonly DimensionCounts[];
  readonly massive: readonly MassiveActivation[];
}

/** Observes the inputs of all linear layers and the hidden states between the blocks. One block's weights are in memory at a time. */
export async function observeModel(options: ObserveInput): Promise<Observed> {
  const { transformer, sequences, criteria, onEvent, signal } = options;
  const { backend, description } = transformer;
  const places = foldableInputs(description);
  const [inputs, hiddenStates, dimensionCounts, massive]: [InputOutliers[], HiddenStateOutliers[], DimensionCounts[], MassiveActivation[]] =
    [[], [], [], []];
  const hidden = createHiddenStates(backend, await embedSequences(transformer, sequences, signal));
  const total = description.blocks.length;

  for (let index = 0; index < total; index++) {
    onEvent?.({ phase: 'Observing activations', done: index, total, unit: 'blocks' });
    const block = transformer.block(index);
    const points = observedPoints(places.filter((place) => place.block === index));
    const ofInputs = createActivationCollector(backend, points.widths, criteria.threshold);
    const ofStates = watchStates(index);
    const weights = await block.load();
    try {
      await hidden.pass(async (state, sequence) => {
        ofStates.observe(state, sequence);
        const observe = (point: string, x: BufferHandle) => ofInputs.observe(points.keyOf.get(point) ?? point, x);
        const next = await block.forward(state, weights, { observe });
        await Promise.all([ofInputs.settle(), ofStates.settle()]);
        return next;
      }, signal);
    } finally {
      block.release(weights);
    }
    const totals = await ofInputs.finish();
    await ofStates.finish();
    for (const place of points.places) describe(place, totals.get(place.value)!);
  }

  const last = places.filter(({ block }) => block === 'head').at(-1)!;
  const ofHead = createActivationCollector(backend, new Map([[last.value, last.width]]), criteria.threshold);
  const ofStates = watchStates(total);
  await hidden.pass(async (state, sequence) => {
    ofStates.observe(state, sequence);
    const normed = await transformer.finalNorm(state);
    ofHead.observe(last.value, normed);
    backend.free(normed);
    await Promise.all([ofHead.settle(), ofStates.settle()]);
    return undefined;
  }, signal);
  const totals = await ofHead.finish();
  await ofStates.finish();
  describe(last, totals.get(last.value)!);
  onEvent?.({ phase: 'Observing activations', done: total, total, unit: 'blocks' });
  return { inputs, hiddenStates, dimensionCounts, massive };

  function describe(place: FoldableInput, of: Parameters<typeof activationFigures>[0]): void {
    const { block, value, residual, linears } = place;
    const names = linears.flatMap(({ weight, decides }) => (decides ? [] : [weight.name]));
    inputs.push({ place: block, point: value, linears: names, residual, ...activationFigures(of, options, `The input of ${names[0]}`) });
    if (residual && block !== 'head') dimensionCounts.push({ block, tokens: of.tokens, above: of.above, absMax: of.absMax });
  }

  /** Watches the hidden states before block `layer`. */
  function watchStates(layer: number) {
    const collector = createActivationCollector(backend, new Map([['hidden', description.hiddenSize]]), criteria.threshold);
    const peaks = createPeakCollector(backend);
    return {
      observe(state: BufferHandle, sequence: number): void {
        collector.observe('hidden', state);
        peaks.observe(state, sequence);
      },
      settle: () => collector.settle(),
      async finish(): Promise<void> {
        const figures = activationFigures((await collector.finish()).get('hidden')!, options, `The hidden state before block ${layer}`);
        const found = await peaks.finish(layer, figures.median, criteria);
        hiddenStates.push({ layer, ...figures, peaks: found.peaks, massive: found.massive.length });
        massive.push(...found.massive);
      },
    };
  }
}

/** The points that stand for the inputs of a block. Where a value itself can be observed, the experts' parts of it need not be. */
function observedPoints(places: readonly FoldableInput[]) {
  const keyOf = new Map(
    places.flatMap(({ value, points }) =>
      points.includes(value) ? [[value, value] as const] : points.map((point) => [point, value] as const),
    ),
  );
  return { places, keyOf, widths: new Map(places.map(({ value, width }) => [value, width])) };
}
