import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { renderSizeQualityPlot } from './size-quality-plot.mjs';
import { site } from './workspace.mjs';

/** @typedef {import('./quickstart-results.mjs').QuickstartResults} QuickstartResults */

/**
 * Writes the parts of pages that show what the quickstart measured: the table, the terminal's table, the plot, and how it was measured.
 *
 * @param {QuickstartResults} quickstart
 * @param {Pick<typeof import('@calibrant/cli'), 'formatBytes' | 'formatDuration' | 'renderTable'>} format
 */
export function generateResultsPages(quickstart, format) {
  write('results-table.md', markdownTable(quickstart, format));
  write('results-terminal.md', terminalExcerpt(quickstart, format));
  write('results-plot.md', figure(quickstart));
  write('results-conditions.md', conditions(quickstart, format));
}

/**
 * @param {QuickstartResults} quickstart
 * @param {Pick<typeof import('@calibrant/cli'), 'formatBytes'>} format
 */
function markdownTable({ results }, { formatBytes }) {
  const [{ sourceBytes, sourceBitsPerWeight, basePerplexity }] = results;
  const rows = [
    ['full precision', formatBytes(sourceBytes), '100 %', sourceBitsPerWeight.toFixed(2), basePerplexity.toFixed(3), '0', '100 %'],
    ...results.map((result) => [
      result.name,
      formatBytes(result.bytes),
      percent(result.bytes / sourceBytes, 0),
      result.bitsPerWeight.toFixed(2),
      result.perplexity.toFixed(3),
      `${result.meanKl.toFixed(5)} ± ${result.klStandardError.toFixed(5)}`,
      percent(result.sameTopRate, 1),
    ]),
  ];
  const head = ['model', 'size', 'of full size', 'bits per weight', 'perplexity', 'KL divergence', 'same top token'];
  const lines = [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows].map((row) => `| ${row.join(' | ')} |`);
  return `<div class="results-table" tabindex="0" role="region" aria-label="Sizes and quality">\n\n${lines.join('\n')}\n\n</div>`;
}

/**
 * The end of what `npm run quickstart` prints, made by the code that prints it.
 *
 * @param {QuickstartResults} quickstart
 * @param {Pick<typeof import('@calibrant/cli'), 'formatBytes' | 'formatDuration' | 'renderTable'>} format
 */
function terminalExcerpt({ results, seconds }, { formatBytes, formatDuration, renderTable }) {
  const [{ sourceBytes, sourceBitsPerWeight, basePerplexity, scoredTokens }] = results;
  const table = renderTable(
    ['model', 'size', 'bits/weight', 'perplexity', 'KL divergence', 'same top token'],
    [
      ['full precision (bf16)', formatBytes(sourceBytes), sourceBitsPerWeight.toFixed(2), basePerplexity.toFixed(3), '0', '100 %'],
      ...results.map((result) => [
        result.name,
        formatBytes(result.bytes),
        result.bitsPerWeight.toFixed(2),
        result.perplexity.toFixed(3),
        `${result.meanKl.toFixed(5)} ± ${result.klStandardError.toFixed(5)}`,
        percent(result.sameTopRate, 1),
      ]),
    ],
  );
  const measured = `Measured on ${scoredTokens.toLocaleString('en')} tokens of held-out text; all of it took ${formatDuration(seconds * 1000)}.`;
  return `\`\`\`text\n$ npm run quickstart\n...\n${table.replace(/ +$/gm, '')}\n\n${measured}\n\`\`\``;
}

/** @param {QuickstartResults} quickstart */
function figure(quickstart) {
  const wide = renderSizeQualityPlot(quickstart, { id: 'size-quality-wide', width: 688, height: 380 });
  const narrow = renderSizeQualityPlot(quickstart, { id: 'size-quality-narrow', width: 340, height: 340 });
  return `<figure class="size-quality"><div class="wide">${wide}</div><div class="narrow">${narrow}</div></figure>`;
}

/**
 * @param {QuickstartResults} quickstart
 * @param {Pick<typeof import('@calibrant/cli'), 'formatDuration'>} format
 */
function conditions({ results, backend, seconds, calibration }, { formatDuration }) {
  const calibrated = results.filter(({ recipe }) => recipe.calibration !== undefined).map(({ name }) => name);
  const lines = [
    `- Text: ${results[0].scoredTokens.toLocaleString('en')} scored tokens that the model was not trained on.`,
    `- Protocol: ${results[0].protocol}.`,
    `- Machine: ${backend}.`,
    `- Time: ${formatDuration(seconds * 1000)} for quantizing and measuring all of them. Quantizing alone: ${results.map(({ name, quantizeSeconds }) => `${name} ${formatDuration(quantizeSeconds * 1000)}`).join(', ')}.`,
  ];
  if (calibrated.length > 0)
    lines.push(
      `- Calibration (${calibrated.join(', ')}): ${calibration.samples} sequences of ${calibration.length} tokens, ${calibration.source === 'self' ? 'which the model itself generated' : 'from text'}.`,
    );
  return lines.join('\n');
}

/**
 * @param {number} ratio
 * @param {number} digits
 */
function percent(ratio, digits) {
  return `${(100 * ratio).toFixed(digits)} %`;
}

/**
 * @param {string} file
 * @param {string} text
 */
function write(file, text) {
  writeFileSync(path.join(site, 'generated', file), `${text}\n`);
}
