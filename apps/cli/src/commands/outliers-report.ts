import type { HiddenStateOutliers, InputOutliers, OutlierReport, WeightOutliers } from '@calibrant/outliers';
import { bar, sparkline } from '../output/bars.js';
import { formatCount } from '../output/format.js';
import { renderTable } from '../output/table.js';

/** Rows that a table shows unless all are asked for. */
const SHOWN = 16;
const LINE = 48;

/** A report for a person: what it means first, then what it says so by. */
export function describeOutliers(report: OutlierReport, all: boolean): string {
  const { model, architecture, calibration, summary, inputs, hiddenStates, weights } = report;
  const on = calibration
    ? `on ${formatCount(calibration.sequences)} sequence${calibration.sequences === 1 ? '' : 's'} (${formatCount(calibration.tokens)} tokens) of ${calibration.source}`
    : 'weights alone';
  return [
    `Outliers of ${model} (${architecture}), ${on}`,
    summary.map((sentence) => `• ${sentence}`).join('\n'),
    ...(inputs.length > 0 ? [inputTable(inputs, report.criteria.threshold, all)] : []),
    ...(report.dimensions.length > 0 ? [dimensionTable(report, all)] : []),
    ...(hiddenStates.length > 0 ? [stateTable(hiddenStates, all)] : []),
    ...(report.massive.count > 0 ? [massiveTable(report, all)] : []),
    ...(weights.length > 0 ? [weightTable(weights, all)] : []),
  ].join('\n\n');
}

/** The rows with the largest figure, in their own order. */
function chosen<T>(
  items: readonly T[],
  figure: (item: T) => number,
  all: boolean,
): { readonly shown: readonly T[]; readonly rest: string } {
  if (all || items.length <= SHOWN) return { shown: items, rest: '' };
  const kept = new Set([...items].sort((a, b) => figure(b) - figure(a)).slice(0, SHOWN));
  return { shown: items.filter((item) => kept.has(item)), rest: `\n… and ${formatCount(items.length - SHOWN)} more: --all shows them.` };
}

function inputTable(inputs: readonly InputOutliers[], threshold: number, all: boolean): string {
  const { shown, rest } = chosen(inputs, ({ channelRatio }) => channelRatio, all);
  const head = ['block', 'input', 'largest', 'rms', 'ratio', 'kurtosis', `≥ ${threshold}`, 'channels'];
  const rows = shown.map((input) => [
    String(input.place),
    input.point,
    figure(input.absMax),
    figure(input.rms),
    figure(input.channelRatio),
    figure(input.kurtosis),
    `${formatCount(input.channelsAbove)}/${formatCount(input.width)}`,
    sparkline(input.channels.absMax.values, LINE),
  ]);
  return `Inputs of linear layers: largest |x|, largest over median channel (ratio), channels that reach ${threshold}, largest |x| of each channel\n${renderTable(head, rows, ['left', 'left', 'right', 'right', 'right', 'right', 'right', 'left'])}${rest}`;
}

function dimensionTable({ dimensions, criteria }: OutlierReport, all: boolean): string {
  const { shown, rest } = chosen(dimensions, ({ layers, positions }) => layers + positions, all);
  const rows = shown.map(({ dimension, layers, positions, absMax }) => [
    String(dimension),
    percent(layers),
    percent(positions),
    figure(absMax),
    bar(positions, 24),
  ]);
  return `Outlier channels of the residual stream: |x| ≥ ${criteria.threshold} in so many layers, at so many token positions\n${renderTable(['channel', 'layers', 'positions', 'largest', ''], rows, ['left', 'right', 'right', 'right', 'left'])}${rest}`;
}

function stateTable(states: readonly HiddenStateOutliers[], all: boolean): string {
  const largest = Math.max(...states.map(({ absMax }) => absMax));
  const { shown, rest } = chosen(states, ({ absMax }) => absMax, all);
  const rows = shown.map((state) => [
    state.layer === 0 ? 'embedding' : `block ${state.layer - 1}`,
    figure(state.absMax),
    figure(state.median),
    figure(state.median > 0 ? state.absMax / state.median : 0),
    figure(state.tokenKurtosis.mean),
    state.peaks[0] ? `${state.peaks[0].dimension} at token ${state.peaks[0].position}` : '',
    bar(state.absMax / largest, 24),
  ]);
  return `Hidden states behind each block: largest and median |x|, kurtosis within a token\n${renderTable(['behind', 'largest', 'median', 'ratio', 'kurtosis', 'where', ''], rows, ['left', 'right', 'right', 'right', 'right', 'left', 'left'])}${rest}`;
}

function massiveTable({ massive }: OutlierReport, all: boolean): string {
  const { shown, rest } = chosen(massive.largest, ({ value }) => Math.abs(value), all);
  const rows = shown.map(({ layer, dimension, position, token, value, ratio }) => [
    layer === 0 ? 'embedding' : `block ${layer - 1}`,
    String(dimension),
    String(position),
    token === undefined ? '' : JSON.stringify(token),
    figure(value),
    formatCount(ratio),
  ]);
  return `Massive activations\n${renderTable(['behind', 'dimension', 'position', 'token', 'value', 'medians'], rows, ['left', 'right', 'right', 'left', 'right', 'right'])}${rest}`;
}

function weightTable(weights: readonly WeightOutliers[], all: boolean): string {
  const { shown, rest } = chosen(weights, ({ kurtosis }) => kurtosis, all);
  const { beyond, grids } = weights[0];
  const head = [
    'weight',
    'kurtosis',
    ...beyond.map(({ sigmas }) => `> ${sigmas}σ`),
    'in',
    'out',
    ...grids.map(({ granularity }) => (typeof granularity === 'number' ? `g${granularity}` : granularity)),
    '',
  ];
  const heaviest = Math.max(1, ...weights.map(({ kurtosis }) => kurtosis));
  const rows = shown.map((weight) => [
    weight.name,
    figure(weight.kurtosis),
    ...weight.beyond.map(({ share }) => percent(share)),
    figure(weight.inputChannels.largestRatio),
    figure(weight.outputChannels.largestRatio),
    ...weight.grids.map(({ entropy }) => entropy.toFixed(2)),
    bar(weight.kurtosis / heaviest, 12),
  ]);
  const bits = [...new Set(grids.map((grid) => grid.bits))].join(', ');
  return `Weights: excess kurtosis, share beyond kσ, largest over median |w| of an input and an output channel, bits that codes of ${bits}-bit min-max grids carry\n${renderTable(head, rows, [...head.slice(0, -1).map((_, i) => (i === 0 ? 'left' : 'right') as 'left' | 'right'), 'left'])}${rest}`;
}

/** Three digits. */
export function figure(value: number): string {
  if (Math.abs(value) >= 1000) return formatCount(value);
  return Number(value.toPrecision(3)).toString();
}

function percent(share: number): string {
  if (share === 0) return '0';
  return `${Number((100 * share).toPrecision(2))} %`;
}
