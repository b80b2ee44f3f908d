import * as Plot from '@observablehq/plot';
import type { ChannelMagnitudes } from '../data.js';
import { type Drawing, draw } from './draw.js';

/** The largest magnitude of each input channel before and after, with the median: what stands far above it is an outlier. */
export function channelMagnitudes({ name, before, after, channelsPerValue }: ChannelMagnitudes): Drawing | undefined {
  if (before.length === 0) return undefined;
  const rows = (values: readonly number[], which: string) => values.map((value, i) => ({ channel: i * channelsPerValue, value, which }));
  const middle = median(before);
  const ratio = (values: readonly number[]) => Math.max(...values) / (median(values) || 1);
  const panels = [rows(before, after ? 'before' : ''), ...(after ? [rows(after, 'after')] : [])];
  return draw(
    {
      title: `Input channels of ${name}`,
      description: `Largest magnitude of ${before.length * channelsPerValue} input channels${channelsPerValue > 1 ? ` (each point is the largest of ${channelsPerValue})` : ''}. Before: median ${middle.toPrecision(3)}, largest ${Math.max(...before).toPrecision(3)}, ${ratio(before).toFixed(1)} times the median.${after ? ` After: median ${median(after).toPrecision(3)}, largest ${Math.max(...after).toPrecision(3)}, ${ratio(after).toFixed(1)} times the median.` : ''}`,
    },
    {
      height: after ? 300 : 200,
      marginTop: 20,
      marginRight: 60,
      x: { label: 'input channel →' },
      y: { label: '↑ largest magnitude', grid: true },
      ...(after ? { fy: { label: null, domain: ['before', 'after'] } } : {}),
      marks: [
        Plot.areaY(panels.flat(), {
          x: 'channel',
          y: 'value',
          ...(after ? { fy: 'which' } : {}),
          fill: 'var(--accent)',
          fillOpacity: 0.35,
          curve: 'step',
        }),
        Plot.lineY(panels.flat(), {
          x: 'channel',
          y: 'value',
          ...(after ? { fy: 'which' } : {}),
          stroke: 'var(--accent)',
          strokeWidth: 1,
          curve: 'step',
        }),
        Plot.ruleY(
          panels.map((panel) => ({ which: panel[0].which, at: median(panel.map(({ value }) => value)) })),
          { y: 'at', ...(after ? { fy: 'which' } : {}), stroke: 'var(--warm)', strokeDasharray: '4 3' },
        ),
        Plot.ruleY([0]),
      ],
    },
  );
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
