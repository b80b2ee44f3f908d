import { escapeHtml } from './escape.js';

/** A table with a caption; the first column names the row. Cells are text: figures, or with `facts` sentences that wrap. */
export function htmlTable(caption: string, head: readonly string[], rows: readonly (readonly string[])[], kind?: 'facts'): string {
  const header = head.map((cell) => `<th scope="col">${escapeHtml(cell)}</th>`).join('');
  const body = rows
    .map(
      ([first, ...rest]) =>
        `<tr><th scope="row">${escapeHtml(first)}</th>${rest.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`,
    )
    .join('');
  return `<div class="scroll"><table${kind ? ` class="${kind}"` : ''}><caption>${escapeHtml(caption)}</caption>${head.some(Boolean) ? `<thead><tr>${header}</tr></thead>` : ''}<tbody>${body}</tbody></table></div>`;
}
