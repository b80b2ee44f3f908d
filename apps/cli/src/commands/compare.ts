import path from 'node:path';
import { COMPARISON_HEAD, comparedScores, comparisonRows, comparisonWarnings, renderComparison } from '@calibrant/report';
import type { Command } from 'commander';
import { renderTable } from '../output/table.js';
import { writeFiles } from '../output/write-files.js';
import { readRuns } from './report-runs.js';

interface CompareOptions {
  readonly out?: string;
  readonly json?: boolean;
}

/** `calibrant compare`: reports side by side. */
export function addCompare(program: Command): Command {
  return program
    .command('compare')
    .description('put reports side by side: a table, and with --out a page with the plot of size against quality')
    .argument('<report...>', 'report.json files, or folders that calibrant report wrote')
    .option('--out <file>', 'the HTML page to write')
    .option('--json', 'print the runs as JSON')
    .action(async (references: string[], options: CompareOptions) => {
      const read = await readRuns(references);
      const runs = read.map(({ run }) => run);
      const warnings = comparisonWarnings(read.map(({ data }) => data));
      if (options.out !== undefined) {
        const { dir, base } = path.parse(options.out);
        await writeFiles(dir || '.', { [base]: renderComparison(runs, warnings) });
      }
      for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
      if (options.json) process.stdout.write(`${JSON.stringify({ runs, warnings }, null, 2)}\n`);
      else {
        const scores = comparedScores(runs);
        const tables = [renderTable(COMPARISON_HEAD, comparisonRows(runs)), ...(scores ? [renderTable(scores.head, scores.rows)] : [])];
        process.stdout.write(`${tables.join('\n\n')}\n${options.out ? `Written: ${options.out}\n` : ''}`);
      }
    });
}
