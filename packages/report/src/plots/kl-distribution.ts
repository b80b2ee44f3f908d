import * as Plot from '@observablehq/plot';
import type { DivergenceFigures } from '../data.js';
import { type Drawing, draw, percent } from './draw.js';

/** How many tokens diverge how much, on a logarithmic axis, with the mean and the percentiles marked. */
export function klDistribution({ histogram, mean, median, p99, max }: DivergenceFigures): Drawing | undefined {
  const total = histogram?.counts.reduce((sum, count) => sum + count, 0) ?? 0;
  if (!histogram || total === 0) return undefined;
  const { edges, counts } = histogram;
  const lowest = edges.find((edge) => edge > 0) ?? 1e-9;
  const bars = counts
    .map((count, i) => ({ from: Math.max(edges[i], lowest / 3), to: Math.max(edges[i + 1], lowest), share: count / total }))
    .filter(({ share, from, to }) => share > 0 && to > from);
  const marks = [
    { at: median, name: 'median' },
    { at: mean.value, name: 'mean' },
    { at: p99, name: '99 %' },
  ].filter(({ at }) => at > lowest / 3);
  return draw(
    {
      title: 'KL divergence of single tokens',
      description: `Over ${total} tokens: median ${median.toPrecision(3)}, mean ${mean.value.toPrecision(3)}, 99 % of the tokens are below ${p99.toPrecision(3)}, the largest is ${max.toPrecision(3)} nats.`,
    },
    {
      height: 260,
      marginTop: 36,
      x: {
        type: 'log',
        label: 'KL divergence of a token, nats (log scale) →',
        tickFormat: (x: number) => (Number.isInteger(Math.log10(x)) ? x.toExponential(0) : ''),
      },
      y: { label: '↑ share of tokens', tickFormat: (share: number) => percent(share), grid: true },
      marks: [
        Plot.rectY(bars, {
          x1: 'from',
          x2: 'to',
          y: 'share',
          fill: 'var(--accent)',
          title: (d: (typeof bars)[number]) => `${d.from.toPrecision(2)} to ${d.to.toPrecision(2)} nats: ${percent(d.share)}`,
        }),
        Plot.ruleX(marks, { x: 'at', stroke: 'var(--warm)', strokeWidth: 2 }),
        // Neighbouring labels stand at different heights, so that they do not cover each other.
        ...marks.map((mark, i) =>
          Plot.text([mark], { x: 'at', text: 'name', frameAnchor: 'top', dy: -10 - 12 * (i % 2), fill: 'currentColor' }),
        ),
        Plot.ruleY([0]),
      ],
    },
  );
}
