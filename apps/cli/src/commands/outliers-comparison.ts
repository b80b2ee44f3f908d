import type { Change, InputChange, OutlierComparison, WeightChange } from '@calibrant/outliers';
import { formatCount } from '../output/format.js';
import { renderTable } from '../output/table.js';
import { figure } from './outliers-report.js';

const SHOWN = 16;

/** What changed between two models, largest changes first. */
export function describeComparison({ before, after, summary, inputs, weights }: OutlierComparison, all: boolean): string {
  return [
    `Before: ${before.model}\nAfter:  ${after.model}`,
    summary.map((sentence) => `• ${sentence}`).join('\n'),
    ...(inputs.length > 0 ? [inputTable(inputs, all)] : []),
    ...(weights.length > 0 ? [weightTable(weights, all)] : []),
  ].join('\n\n');
}

function inputTable(inputs: readonly InputChange[], all: boolean): string {
  const figures = ({ absMax, channelRatio, kurtosis, channelsAbove }: InputChange) => [absMax, channelRatio, kurtosis, channelsAbove];
  const { shown, rest } = mostChanged(inputs, figures, all);
  const rows = shown.map((input) => [String(input.place), input.point, ...figures(input).map(arrow), changedChannels(input.channels)]);
  const head = ['block', 'input', 'largest', 'ratio', 'kurtosis', 'above threshold', 'channels that changed most'];
  return `Inputs of linear layers${rest}\n${renderTable(head, rows, ['left', 'left', 'right', 'right', 'right', 'right', 'left'])}`;
}

function weightTable(weights: readonly WeightChange[], all: boolean): string {
  const figures = ({ absMax, kurtosis, inputRatio, outputRatio }: WeightChange) => [absMax, kurtosis, inputRatio, outputRatio];
  const { shown, rest } = mostChanged(weights, figures, all);
  const rows = shown.map((weight) => [weight.name, ...figures(weight).map(arrow), changedChannels(weight.channels)]);
  const head = ['weight', 'largest', 'kurtosis', 'input ratio', 'output ratio', 'input channels that changed most'];
  return `Weights${rest}\n${renderTable(head, rows, ['left', 'right', 'right', 'right', 'right', 'left'])}`;
}

interface Changed {
  readonly channels: InputChange['channels'];
}

/** What changed, by the largest factor of a figure or a channel first; what kept all three digits of its figures is counted. */
function mostChanged<T extends Changed>(
  items: readonly T[],
  figures: (item: T) => readonly Change[],
  all: boolean,
): { readonly shown: readonly T[]; readonly rest: string } {
  const size = (item: T) => Math.max(0, ...item.channels.map(factor), ...figures(item).map(factor));
  const changed = items.filter(
    (item) => item.channels.length > 0 || figures(item).some((change) => figure(change.before) !== figure(change.after)),
  );
  const sorted = [...changed].sort((a, b) => size(b) - size(a));
  const shown = all ? [...sorted, ...items.filter((item) => !changed.includes(item))] : sorted.slice(0, SHOWN);
  const hidden = changed.length - Math.min(changed.length, shown.length);
  const words = [
    `${formatCount(changed.length)} of ${formatCount(items.length)} changed`,
    ...(hidden > 0 ? [`the ${SHOWN} that changed most are shown, --all shows all`] : []),
  ];
  return { shown, rest: `: ${words.join('; ')}` };
}

/** By how many powers of e a figure changed. */
function factor({ before, after }: Change): number {
  return before > 0 && after > 0 ? Math.abs(Math.log(after / before)) : 0;
}

function arrow({ before, after }: Change): string {
  return figure(before) === figure(after) ? figure(after) : `${figure(before)} → ${figure(after)}`;
}

function changedChannels(channels: InputChange['channels']): string {
  return channels
    .slice(0, 4)
    .map(({ channel, before, after }) => `${channel}: ${before > 0 ? `×${figure(after / before)}` : 'new'}`)
    .join(', ');
}
