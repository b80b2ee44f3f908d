import * as Plot from '@observablehq/plot';
import type { LayerError } from '../data.js';
import { type Drawing, draw, percent } from './draw.js';

/** With more blocks cells have no room for their figures. */
const WRITTEN = 10;

/** The error of every layer as a cell, blocks from left to right. Layers outside blocks are in the table alone. */
export function errorHeatMap(layers: readonly LayerError[]): Drawing | undefined {
  const inBlocks = layers.filter(({ block }) => block !== undefined);
  if (inBlocks.length === 0) return undefined;
  const measured = inBlocks.some(({ outputError }) => outputError !== undefined) ? 'outputs' : 'weights';
  const cells = worstOfEach(
    inBlocks.flatMap((layer) => {
      const error = measured === 'outputs' ? layer.outputError : layer.weightError;
      return error === undefined ? [] : [{ ...layer, error }];
    }),
  );
  const roles = [...new Set(cells.map(({ role }) => role))];
  const blocks = 1 + Math.max(...cells.map(({ block }) => block as number));
  const worst = cells.reduce((a, b) => (b.error > a.error ? b : a));
  const positive = cells.map(({ error }) => error).filter((error) => error > 0);
  const domain = positive.length > 0 ? [Math.min(...positive), Math.max(...positive)] : [1e-6, 1];
  const written = blocks <= WRITTEN ? cells : [];
  return draw(
    {
      title: `Relative error of each layer’s ${measured === 'outputs' ? 'output' : 'weights'}${positive.length > 0 ? `, ${percent(domain[0])} to ${percent(domain[1])}` : ''}`,
      description: `${cells.length} layers in ${blocks} blocks. The largest error is ${percent(worst.error)} in ${worst.name}; the mean is ${percent(cells.reduce((sum, { error }) => sum + error, 0) / cells.length)}.`,
    },
    {
      height: 60 + 26 * roles.length,
      marginLeft: 12 + 7 * Math.max(...roles.map(({ length }) => length)),
      padding: 0.06,
      x: {
        label: 'block →',
        domain: Array.from({ length: blocks }, (_, i) => i),
        tickFormat: (i: number) => (i % Math.ceil(blocks / 24) === 0 ? String(i) : ''),
        tickSize: 0,
      },
      y: { label: null, domain: roles, tickSize: 0 },
      color: { type: 'log', scheme: 'YlOrRd', domain: domain[0] < domain[1] ? domain : [domain[0] / 2, domain[1]] },
      marks: [
        Plot.cell(cells, {
          x: 'block',
          y: 'role',
          fill: (d: (typeof cells)[number]) => Math.max(d.error, domain[0]),
          title: (d: (typeof cells)[number]) => `${d.name}\n${d.scheme}\nerror ${percent(d.error)}`,
        }),
        Plot.text(written, {
          x: 'block',
          y: 'role',
          text: (d: (typeof cells)[number]) => percent(d.error),
          // The scale is light at its lower and dark at its upper end, in light and dark pages alike.
          fill: (d: (typeof cells)[number]) =>
            Math.log(d.error / domain[0]) > 0.6 * Math.log(domain[1] / domain[0]) ? '#ffffff' : '#1b2230',
        } as Plot.TextOptions),
      ],
    },
  );
}

/** Experts of a mixture are one kind of layer: the worst of them stands for all. */
function worstOfEach<Cell extends LayerError & { readonly error: number }>(cells: readonly Cell[]): Cell[] {
  const worst = new Map<string, Cell>();
  for (const cell of cells) {
    const key = `${cell.block} ${cell.role}`;
    const known = worst.get(key);
    if (!known || cell.error > known.error) worst.set(key, cell);
  }
  return [...worst.values()];
}
