import { escapeHtml } from './escape.js';

/**
 * A table with a caption; the first column names the row. Cells are text: figures on one line, with `scores` figures with their interval below where there is no room beside, with `facts`
 * sentences that wrap.
 */
export function htmlTable(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
  kind?: 'facts' | 'scores',
): string {
  const text = kind === 'scores' ? (cell: string) => escapeHtml(heldTogether(cell)) : escapeHtml;
  const header = head.map((cell) => `<th scope="col">${escapeHtml(cell)}</th>`).join('');
  const body = rows
    .map(([first, ...rest]) => `<tr><th scope="row">${escapeHtml(first)}</th>${rest.map((cell) => `<td>${text(cell)}</td>`).join('')}</tr>`)
    .join('');
  return `<div class="scroll"><table${kind ? ` class="${kind}"` : ''}><caption>${escapeHtml(caption)}</caption>${head.some(Boolean) ? `<thead><tr>${header}</tr></thead>` : ''}<tbody>${body}</tbody></table></div>`;
}

/** `66.7 % (20.8 % – 93.9 %)` breaks before its interval only. */
function heldTogether(cell: string): string {
  // A line may end behind a dash unless a word joiner follows.
  return cell.replaceAll(/ (?=%)|(?<=\([^)]*) /g, '\u00a0').replaceAll('–\u00a0', '–\u2060\u00a0');
}
