import { PRESETS } from '@calibrant/pipeline';
import type { Command } from 'commander';
import { renderTable } from '../output/table.js';

/** `calibrant presets`: the recipes that have a name. */
export function addPresets(program: Command): Command {
  return program
    .command('presets')
    .description('list the recipes for quantize --preset, with what they are for and what loads their output')
    .option('--json', 'print them with their recipes')
    .action(({ json }: { json?: boolean }) => {
      if (json) return void process.stdout.write(`${JSON.stringify(PRESETS, null, 2)}\n`);
      const rows = PRESETS.map(({ name, purpose, servers }) => [name, purpose, servers]);
      process.stdout.write(`${renderTable(['preset', 'for', 'loaded by'], rows, ['left', 'left', 'left'])}\n`);
    });
}
