/**
 * The command line: argument parsing, progress and tables around `@calibrant/pipeline`.
 * @module
 */

export { loadRegistry } from './load-plugins.js';
export { main } from './main.js';
export { officialPlugins } from './official-plugins.js';
export { formatBytes, formatDuration } from './output/format.js';
export { createReporter, type Reporter } from './output/reporter.js';
export { renderTable } from './output/table.js';
