import * as Plot from '@observablehq/plot';
import type { ReliabilityFigures } from '../data.js';
import { type Drawing, draw } from './draw.js';

/** Confidence against accuracy, bin by bin, before and after quantization. On the diagonal a model is as sure as it is right. */
export function reliabilityDiagram(quantized: ReliabilityFigures, base?: ReliabilityFigures): Drawing | undefined {
  const points = (figures: ReliabilityFigures, model: string) =>
    figures.bins.filter(({ count }) => count > 0).map((bin) => ({ ...bin, model }));
  const after = points(quantized, 'quantized');
  const before = base ? points(base, 'full precision') : [];
  if (after.length === 0) return undefined;
  const largest = Math.max(...[...before, ...after].map(({ count }) => count));
  const both = [
    { data: before, color: 'var(--muted)' },
    { data: after, color: 'var(--accent)' },
  ].filter(({ data }) => data.length > 0);
  const ece = (value: number) => value.toFixed(4);
  return draw(
    {
      title: 'Reliability: confidence against accuracy',
      description: `Expected calibration error ${base ? `${ece(base.ece)} in full precision and ` : ''}${ece(quantized.ece)} quantized. ${after.map(({ confidence, accuracy, count }) => `At confidence ${confidence.toFixed(2)}: right in ${(100 * accuracy).toFixed(0)} % of ${count}`).join('. ')}.`,
    },
    {
      height: 380,
      width: 460,
      marginTop: 24,
      x: { label: 'confidence →', domain: [0, 1], grid: true },
      y: { label: '↑ accuracy', domain: [0, 1], grid: true },
      r: { range: [2, 9], domain: [0, largest] },
      marks: [
        Plot.line(
          [
            [0, 0],
            [1, 1],
          ],
          { stroke: 'currentColor', strokeDasharray: '4 4', strokeOpacity: 0.6 },
        ),
        ...both.flatMap(({ data, color }) => [
          Plot.line(data, { x: 'confidence', y: 'accuracy', stroke: color, strokeWidth: 2 }),
          Plot.dot(data, {
            x: 'confidence',
            y: 'accuracy',
            r: 'count',
            fill: color,
            stroke: 'var(--page)',
            title: (d: (typeof data)[number]) =>
              `${d.model}: confidence ${d.confidence.toFixed(3)}, accuracy ${d.accuracy.toFixed(3)}, ${d.count} predictions`,
          }),
          Plot.text(data.slice(-1), {
            x: 'confidence',
            y: 'accuracy',
            text: 'model',
            textAnchor: 'end',
            dx: -12,
            dy: color === 'var(--muted)' ? 14 : -10,
            fill: color,
            fontWeight: 600,
            stroke: 'var(--page)',
            strokeWidth: 4,
          }),
        ]),
      ],
    },
  );
}
