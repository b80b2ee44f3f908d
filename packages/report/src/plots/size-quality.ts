import * as Plot from '@observablehq/plot';
import type { RunFigures } from '../data.js';
import { type Drawing, draw } from './draw.js';

/**
 * Size against mean KL divergence of several runs, with the Pareto front (runs that no other beats in both) as a line. Runs without a divergence are
 * left out; undefined when none has one.
 */
export function sizeQualityPlot(runs: readonly RunFigures[]): Drawing | undefined {
  const points = runs
    .flatMap((run) =>
      run.meanKl === undefined ? [] : [{ ...run, kl: run.meanKl.value, error: run.meanKl.standardError, size: run.bytes / 1e6 }],
    )
    .sort((a, b) => a.size - b.size || a.kl - b.kl);
  if (points.length === 0) return undefined;
  // A run that loses nothing at all has no place on a logarithmic axis: it stands at its lower end.
  const least = Math.min(...points.filter(({ kl }) => kl > 0).map(({ kl }) => kl), 1) / 3;
  const shown = points.map((point) => ({ ...point, y: Math.max(point.kl, least), low: Math.max(point.kl - point.error, least) }));
  const front = paretoFront(points);
  const most = Math.max(...shown.map(({ y, error }) => y + error));
  const largest = Math.max(...points.map(({ size }) => size));
  const label = { x: 'size', y: 'y', text: 'name', fontWeight: 600, fill: 'currentColor', stroke: 'var(--page)', strokeWidth: 4 };
  const nearEdge = ({ size }: { size: number }) => size > 0.7 * largest;
  return draw(
    {
      title: 'Size against mean KL divergence',
      description: `${points.map(({ name, size, kl }) => `${name}: ${size.toFixed(2)} MB, mean KL divergence ${kl.toPrecision(3)} nats`).join('. ')}. Lower and further left is better; the line joins the runs that no other run beats in both.`,
    },
    {
      height: 340,
      marginTop: 24,
      x: { label: 'size in MB →', domain: [0, largest * 1.1], nice: true },
      y: {
        type: 'log',
        label: '↑ mean KL divergence, nats (log scale)',
        grid: true,
        domain: [Math.min(...shown.map(({ low }) => low)) / 1.5, most * 1.5],
        // One, two and five of each decade are named.
        tickFormat: (value: number) => (/^[125]/.test(value.toExponential(0)) ? String(Number(value.toPrecision(1))) : ''),
      },
      r: { type: 'identity' },
      marks: [
        Plot.line(
          shown.filter(({ name }) => front.has(name)),
          { x: 'size', y: 'y', stroke: 'var(--accent)', strokeOpacity: 0.5, curve: 'step-after' },
        ),
        Plot.ruleX(shown, {
          x: 'size',
          y1: 'low',
          y2: (d: (typeof shown)[number]) => d.kl + d.error,
          stroke: 'currentColor',
          strokeOpacity: 0.6,
        }),
        Plot.dot(shown, {
          x: 'size',
          y: 'y',
          r: (d: (typeof shown)[number]) => (d.here ? 7 : 5),
          fill: (d: (typeof shown)[number]) => (d.here ? 'var(--warm)' : 'var(--accent)'),
          stroke: 'var(--page)',
        }),
        Plot.text(
          shown.filter((d) => !nearEdge(d)),
          { ...label, textAnchor: 'start', dx: 10 },
        ),
        Plot.text(shown.filter(nearEdge), { ...label, textAnchor: 'end', dx: -10 }),
      ],
    },
  );
}

/** Names of the runs that no other run beats in size and divergence. */
export function paretoFront(runs: readonly { readonly name: string; readonly bytes: number; readonly kl: number }[]): Set<string> {
  const front = new Set<string>();
  let best = Infinity;
  for (const { name, kl } of [...runs].sort((a, b) => a.bytes - b.bytes || a.kl - b.kl))
    if (kl < best) {
      best = kl;
      front.add(name);
    }
  return front;
}
