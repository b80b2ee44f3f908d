import type { ReportData } from '../data.js';
import { percent } from '../plots/draw.js';
import { megabytes, summarize } from '../summary.js';
import { escapeHtml } from './escape.js';
import { sections } from './sections.js';
import { STYLE } from './style.js';

/**
 * The report as one HTML file that needs nothing else: drawings are inline SVG, there are no scripts and no requests. The figures are in it once more as JSON
 * (`<script type="application/json" id="calibrant-report">`).
 */
export function renderHtml(data: ReportData): string {
  const parts = sections(data).map(({ heading, html }) => `<section><h2>${escapeHtml(heading)}</h2>${html}</section>`);
  return page(
    `${data.model.name}: what quantization cost`,
    `<h1>${escapeHtml(data.model.name)}</h1><p class="lead">${escapeHtml(summarize(data))}</p>${tiles(data)}${parts.join('')}`,
    data,
  );
}

/** A whole page around some content; also of the comparison. */
export function page(title: string, content: string, data: unknown): string {
  // `<` never appears in the JSON, so that no name in it can end the element.
  const json = JSON.stringify(data).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body><main>${content}</main>
<script type="application/json" id="calibrant-report">${json}</script>
</body>
</html>
`;
}

function tiles({ size, quality }: ReportData): string {
  const shown: [string, string][] = [
    [megabytes(size.bytes), 'size'],
    [size.bitsPerWeight.toFixed(2), 'bits per weight'],
  ];
  if (quality?.divergence)
    shown.push(
      [quality.divergence.mean.value.toPrecision(3), 'mean KL divergence, nats'],
      [percent(quality.divergence.sameTop.value), 'same most likely token'],
    );
  if (quality?.basePerplexity) {
    const change = quality.perplexity.value / quality.basePerplexity.value - 1;
    shown.push([`${change < 0 ? '−' : '+'}${percent(Math.abs(change))}`, 'perplexity']);
  }
  return `<div class="tiles">${shown.map(([value, what]) => `<div class="tile"><b>${escapeHtml(value)}</b><span>${escapeHtml(what)}</span></div>`).join('')}</div>`;
}
