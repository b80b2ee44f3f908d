import * as Plot from '@observablehq/plot';
import type { ValueRanges } from '../data.js';
import { type Drawing, draw, percent } from './draw.js';

/** The values that flow into a layer on a logarithmic count axis, and the range that each calibrator would keep. */
export function clippingHistogram({ name, edges, counts, marks }: ValueRanges): Drawing | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  const bars = counts.map((count, i) => ({ from: edges[i], to: edges[i + 1], count })).filter(({ count }) => count > 0);
  const rows = marks;
  return draw(
    {
      title: `Values that flow into ${name}, and where calibrators clip them`,
      description: `${total} values. ${rows.map(({ calibrator, low, high, clipping, rounding }) => `${calibrator} keeps ${low.toPrecision(3)} to ${high.toPrecision(3)}; ${percent(clipping)} of the energy is lost by clipping and ${percent(rounding)} by rounding`).join('. ')}.`,
    },
    {
      height: 220 + 22 * rows.length,
      marginTop: 24 + 22 * rows.length,
      marginRight: 110,
      x: { label: 'value →' },
      y: { type: 'log', label: '↑ values (log scale)', tickFormat: '~s', domain: [0.5, Math.max(...counts) * 1.5] },
      marks: [
        Plot.rect(bars, { x1: 'from', x2: 'to', y1: () => 0.5, y2: 'count', fill: 'var(--accent)', fillOpacity: 0.6 }),
        ...rows.flatMap((row, i) => [
          Plot.ruleX([row.low, row.high], { stroke: 'var(--warm)', strokeOpacity: 0.8, strokeDasharray: '3 3' }),
          Plot.link([row], {
            x1: 'low',
            x2: 'high',
            y1: () => Math.max(...counts) * 1.5,
            y2: () => Math.max(...counts) * 1.5,
            dy: -10 - 22 * i,
            stroke: 'var(--warm)',
            strokeWidth: 3,
          } as Plot.LinkOptions),
          Plot.text([row], {
            x: 'high',
            y: () => Math.max(...counts) * 1.5,
            dy: -10 - 22 * i,
            dx: 6,
            textAnchor: 'start',
            text: 'calibrator',
            fill: 'currentColor',
          } as Plot.TextOptions),
        ]),
      ],
    },
  );
}
