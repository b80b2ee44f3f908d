const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const LEVELS = '▁▂▃▄▅▆▇█';

/** A bar that takes `share` (0 to 1) of `width` characters, to an eighth of a character. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(8 * width * Math.min(1, Math.max(0, share)));
  return '█'.repeat(eighths >> 3) + EIGHTHS[eighths & 7];
}

/** Values as a line of at most `width` characters of different heights: the largest value of each run of neighbours, against the largest of all. */
export function sparkline(values: readonly number[], width: number): string {
  const largest = Math.max(...values, 0);
  const perCharacter = Math.max(1, values.length / width);
  const count = Math.ceil(values.length / perCharacter);
  return Array.from({ length: count }, (_, i) => {
    const run = values.slice(Math.floor(i * perCharacter), Math.max(Math.floor(i * perCharacter) + 1, Math.floor((i + 1) * perCharacter)));
    const height = largest > 0 ? Math.ceil((Math.max(...run) / largest) * LEVELS.length) - 1 : 0;
    return LEVELS[Math.max(0, height)];
  }).join('');
}
