import { medianOf } from './channel-profile.js';
import type { GridUse, InputOutliers, OutlierReport, WeightOutliers } from './report-types.js';

/** What a report means, in sentences for a person. */
export function summarize(report: Omit<OutlierReport, 'summary'>): string[] {
  return [...aboutChannels(report), ...aboutMassive(report), ...aboutWeights(report.weights)];
}

function aboutChannels({ criteria, dimensions, inputs, calibration }: Omit<OutlierReport, 'summary'>): string[] {
  if (!calibration || inputs.length === 0) return [];
  const { threshold, layerShare, positionShare } = criteria;
  const worst = inputs.reduce((most, input) => (input.channelRatio > most.channelRatio ? input : most));
  const typical = medianOf(inputs.map(({ channelRatio }) => channelRatio));
  const spread = `Of the ${inputs.length} inputs of linear layers, the largest channel is ${times(typical)} the median one at the median input and ${times(worst.channelRatio)} at the most uneven, ${describeInput(worst)}, where a per-tensor int8 grid leaves the median channel ${steps(worst.channelRatio)} of its 127 steps.`;
  const width = inputs.find(({ residual }) => residual)?.width ?? 0;
  if (dimensions.length === 0)
    return [
      `No channel is an outlier by the criteria of LLM.int8() (|x| ≥ ${threshold} in ${percent(layerShare)} of the layers and at ${percent(positionShare)} of the token positions).`,
      spread,
    ];
  const layers = range(dimensions.map((dimension) => dimension.layers));
  const positions = range(dimensions.map((dimension) => dimension.positions));
  return [
    `${dimensions.length} of ${width} ${dimensions.length === 1 ? 'channels carries' : 'channels carry'} values of ${threshold} or more in ${layers} of the layers, at ${positions} of the token positions: SmoothQuant or LLM.int8() is recommended before activations are quantized.`,
    spread,
  ];
}

function aboutMassive({ massive, criteria, calibration, hiddenStates }: Omit<OutlierReport, 'summary'>): string[] {
  if (!calibration || hiddenStates.length === 0) return [];
  const { massiveValue, massiveRatio } = criteria;
  if (massive.count === 0)
    return [`No activation is massive (at least ${massiveValue} and ${massiveRatio} times the median of its layer's hidden states).`];
  const { first, delimiter, other } = massive.byPosition;
  const dimensions = massive.byDimension.slice(0, 4).map(({ dimension }) => dimension);
  const [largest] = massive.largest;
  return [
    `${massive.count} activations are massive, up to ${largest.value.toPrecision(4)} (${Math.round(largest.ratio)} medians), in dimension${dimensions.length > 1 ? 's' : ''} ${dimensions.join(', ')}${massive.byDimension.length > 4 ? ', …' : ''}: ${first} at first tokens, ${delimiter} at delimiters, ${other} elsewhere. Static per-tensor grids of hidden states lose everything else there; use per-token ones.`,
  ];
}

function aboutWeights(weights: readonly WeightOutliers[]): string[] {
  if (weights.length === 0) return [];
  const heaviest = weights.reduce((most, weight) => (weight.kurtosis > most.kurtosis ? weight : most));
  const farthest = heaviest.beyond.at(-1);
  const tail = farthest ? `, with ${percent(farthest.share)} of the weights beyond ${farthest.sigmas}σ` : '';
  const grids = weights[0].grids.map((grid, i) => `${meanEntropy(weights, i).toFixed(2)} of ${grid.bits} bits ${granularityName(grid)}`);
  return [
    `The weights with the heaviest tails are ${heaviest.name}: excess kurtosis ${heaviest.kurtosis.toFixed(1)}${tail}.`,
    ...(grids.length > 0 ? [`On average a min-max grid uses ${grids.join(', ')}.`] : []),
  ];
}

/** Entropy of the codes under the i-th grid, averaged over all weights. */
export function meanEntropy(weights: readonly WeightOutliers[], grid: number): number {
  let [sum, elements] = [0, 0];
  for (const { shape, grids } of weights) {
    sum += grids[grid].entropy * shape[0] * shape[1];
    elements += shape[0] * shape[1];
  }
  return elements > 0 ? sum / elements : 0;
}

export function granularityName({ granularity }: Pick<GridUse, 'granularity'>): string {
  return typeof granularity === 'number' ? `in groups of ${granularity}` : `per ${granularity}`;
}

export function describeInput({ place, point }: Pick<InputOutliers, 'place' | 'point'>): string {
  return typeof place === 'number' ? `${point} of block ${place}` : `${point} of the ${place}`;
}

function steps(ratio: number): string {
  const left = 127 / Math.max(1, ratio);
  return left >= 10 ? String(Math.round(left)) : left.toFixed(1);
}

function times(ratio: number): string {
  return ratio >= 100 ? `${Math.round(ratio)} times` : `${ratio.toFixed(1)} times`;
}

function percent(share: number): string {
  const value = 100 * share;
  return `${value === 0 || value >= 10 ? Math.round(value) : Number(value.toPrecision(2))} %`;
}

function range(shares: readonly number[]): string {
  const [least, most] = [Math.min(...shares), Math.max(...shares)];
  return percent(least) === percent(most) ? percent(most) : `${percent(least).replace(' %', '')} to ${percent(most)}`;
}
