import type { TargetFigures, TradePoint } from '../data.js';
import { megabytes } from '../summary.js';
import { escapeHtml } from './escape.js';
import { htmlTable } from './table.js';

/** The Pareto front that types were chosen on, with the choice in its place. */
export function targetTable(target: TargetFigures): string {
  const row = ({ bytes, bitsPerWeight, loss }: TradePoint, mark = '') => [
    megabytes(bytes),
    bitsPerWeight.toFixed(3),
    loss.toPrecision(4),
    mark,
  ];
  const others = target.frontier.filter(({ bytes }) => bytes !== target.bytes);
  const rows = [
    ...others.filter(({ bytes }) => bytes < target.bytes).map((point) => row(point)),
    row(target, 'this model'),
    ...others.filter(({ bytes }) => bytes > target.bytes).map((point) => row(point)),
  ];
  const said = `The type of each tensor was chosen by measured loss: the part of a layer's output that becomes noise, weighed by importance where it is known, summed over the layers. The target was ${megabytes(target.budgetBytes)} of tensors; the loss is ${target.loss.toPrecision(4)}, and no choice of types of that size can be below ${target.bound.toPrecision(4)}.`;
  return `<p>${escapeHtml(said)}</p>${htmlTable('Least loss at other sizes (Pareto front)', ['tensors', 'bits per weight', 'loss', ''], rows)}`;
}
