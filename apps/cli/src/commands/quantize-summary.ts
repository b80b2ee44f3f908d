import type { QuantizeResult } from '@calibrant/pipeline';
import { formatBytes, formatCount, formatDuration } from '../output/format.js';
import { renderTable } from '../output/table.js';

/** What was done, or would be, for a person. */
export function summary(result: QuantizeResult): string {
  const { files, bytes, bitsPerWeight, sourceBytes, seconds, tensors } = result;
  const quantized = tensors.filter(({ scheme }) => !/^(f32|f16|bf16)$/.test(scheme)).length;
  const saved = `${formatBytes(bytes)} (${bitsPerWeight.toFixed(2)} bits per weight, was ${formatBytes(sourceBytes)})`;
  if (result.dryRun) return [`Would write ${saved}:`, ...planLines(result), ...targetLines(result), '', tensorTable(result)].join('\n');
  return [
    `Wrote ${saved} in ${formatDuration(seconds * 1000)}: ${formatCount(quantized)} of ${formatCount(tensors.length)} tensors quantized.`,
    ...files.map((file) => `  ${file}`),
    ...executionLines(result),
    ...targetLines(result),
  ].join('\n');
}

/** How the output asks to be run, and where its static scales come from. */
function executionLines({ execution, recipe, calibration }: QuantizeResult): string[] {
  if (!execution) return [];
  const { activations, kvCache, scales = {} } = execution;
  const grids = [...(activations ? [`inputs on ${activations}`] : []), ...(kvCache ? [`cached keys and values on ${kvCache}`] : [])];
  const found = Object.keys(scales).length;
  const by = recipe.activationCalibrator?.name ?? 'percentile (integers) or minmax (floats)';
  const how = `: ${formatCount(found)} static scales by ${by}, on ${formatCount(calibration?.sequences ?? 0)} sequences`;
  return [`Servers run it with ${grids.join(' and ')}${found > 0 ? how : ''}.`];
}

/** How many tensors of each type, with their bytes. */
function planLines({ tensors }: QuantizeResult): string[] {
  const bySchemes = new Map<string, { count: number; bytes: number }>();
  for (const { scheme, bytes } of tensors) {
    const entry = bySchemes.get(scheme) ?? { count: 0, bytes: 0 };
    bySchemes.set(scheme, { count: entry.count + 1, bytes: entry.bytes + bytes });
  }
  return [...bySchemes].map(([scheme, { count, bytes }]) => `  ${scheme}: ${count} tensors, ${formatBytes(bytes)}`);
}

function tensorTable({ tensors, bytes, bitsPerWeight }: QuantizeResult): string {
  const rows = tensors.map((tensor) => [tensor.name, tensor.shape.join(' × '), tensor.scheme, formatBytes(tensor.bytes)]);
  const total = ['total', '', `${bitsPerWeight.toFixed(4)} bits per weight`, formatBytes(bytes)];
  return renderTable(['tensor', 'shape', 'type', 'bytes'], [...rows, total], ['left', 'right', 'left', 'right']);
}

/** The trade of size against loss that a target was chosen on, with the choice in its place. */
function targetLines({ target }: QuantizeResult): string[] {
  if (!target) return [];
  const others = target.frontier.filter(({ bytes }) => bytes !== target.bytes);
  const points = [...others, target].sort((a, b) => a.bytes - b.bytes);
  const rows = points.map((point) => [
    formatBytes(point.bytes),
    point.bitsPerWeight.toFixed(3),
    point.loss.toPrecision(4),
    point === target ? '← chosen' : '',
  ]);
  return [
    `Types chosen by measured loss ${target.loss.toPrecision(4)} (sum over the tensors of the part of their outputs that becomes noise; none at this size can be below ${target.bound.toPrecision(4)}). Pareto front of the tensors' sizes:`,
    renderTable(['bytes', 'bits per weight', 'least loss', ''], rows, ['right', 'right', 'right', 'left']),
  ];
}
