import * as Plot from '@observablehq/plot';
import { JSDOM } from 'jsdom';

/** @typedef {import('./quickstart-results.mjs').QuickstartResults} QuickstartResults */

/**
 * Size against KL divergence as one line of SVG. Colours are those of the page (`currentColor` and CSS variables), so that it follows
 * the light and the dark theme.
 *
 * @param {QuickstartResults} quickstart
 * @param {{ id: string, width: number, height: number }} frame
 */
export function renderSizeQualityPlot({ results }, { id, width, height }) {
  const { document } = new JSDOM('').window;
  const full = results[0].sourceBytes / 1e6;
  const points = results.map(({ name, bytes, meanKl, klStandardError }) => ({
    name,
    size: bytes / 1e6,
    kl: meanKl,
    low: Math.max(meanKl - klStandardError, meanKl / 4),
    high: meanKl + klStandardError,
    nearRightEdge: bytes / 1e6 > 0.55 * full,
  }));
  const lowest = Math.min(...points.map(({ low }) => low)) / 2;
  const highest = Math.max(...points.map(({ high }) => high)) * 2;
  const halo = { stroke: 'var(--vp-c-bg)', strokeWidth: 5 };
  const label = { x: 'size', y: 'kl', text: 'name', fill: 'currentColor', fontWeight: 600, ...halo };
  const svg = Plot.plot({
    document,
    width,
    height,
    marginLeft: 56,
    marginRight: 16,
    marginTop: 28,
    marginBottom: 44,
    className: 'plot',
    style: { fontSize: '13px', background: 'transparent' },
    x: { label: 'size in MB →', domain: [0, full * 1.04], ticks: width / 90, labelAnchor: 'right', labelArrow: 'none' },
    y: {
      type: 'log',
      label: '↑ mean KL divergence (log scale)',
      labelArrow: 'none',
      grid: true,
      domain: [lowest, highest],
      ticks: powersOfTen(lowest, highest),
      tickFormat: String,
    },
    marks: [
      Plot.ruleX([full], { stroke: 'currentColor', strokeOpacity: 0.5, strokeDasharray: '4 4' }),
      Plot.text([full], {
        x: (/** @type {number} */ size) => size,
        text: () => 'full precision',
        frameAnchor: 'top',
        textAnchor: 'end',
        dx: -6,
        dy: 2,
        fill: 'currentColor',
        fillOpacity: 0.75,
        ...halo,
      }),
      Plot.ruleX(points, { x: 'size', y1: 'low', y2: 'high', stroke: 'var(--vp-c-brand-1)', strokeWidth: 2 }),
      Plot.dot(points, { x: 'size', y: 'kl', r: 5, fill: 'var(--vp-c-brand-1)' }),
      Plot.text(
        points.filter(({ nearRightEdge }) => !nearRightEdge),
        { ...label, textAnchor: 'start', dx: 10 },
      ),
      Plot.text(
        points.filter(({ nearRightEdge }) => nearRightEdge),
        { ...label, textAnchor: 'end', dx: -10 },
      ),
    ],
  });
  describe(document, svg, id, points);
  return svg.outerHTML.replaceAll('\n', ' ');
}

/**
 * @param {number} low
 * @param {number} high
 */
function powersOfTen(low, high) {
  const first = Math.ceil(Math.log10(low));
  return Array.from({ length: Math.floor(Math.log10(high)) - first + 1 }, (_, i) => Number(`1e${first + i}`));
}

/**
 * Gives the drawing a name and a text with all its figures, and removes Plot's style element: VitePress leaves none in a page, so
 * the site's style sheet has the rules.
 *
 * @param {Document} document
 * @param {Element} svg
 * @param {string} id
 * @param {readonly { name: string, size: number, kl: number }[]} points
 */
function describe(document, svg, id, points) {
  svg.querySelector('style')?.remove();
  const parts = [
    ['title', 'Size of each quantized model against its KL divergence from full precision'],
    [
      'desc',
      `${points.map(({ name, size, kl }) => `${name}: ${size.toFixed(2)} MB, mean KL divergence ${kl.toFixed(5)}`).join('. ')}. Lower and further left is better.`,
    ],
  ].map(([tag, text]) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
    element.id = `${id}-${tag}`;
    element.textContent = text;
    return element;
  });
  svg.prepend(...parts);
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-labelledby', parts[0].id);
  svg.setAttribute('aria-describedby', parts[1].id);
}
