import type { Command } from 'commander';
import { z } from 'zod';
import { loadRegistry } from '../load-plugins.js';
import { renderTable } from '../output/table.js';
import { collect } from '../program.js';

/** `calibrant plugins`: what is registered, with its options. */
export function addPlugins(program: Command): Command {
  return program
    .command('plugins')
    .description('list the methods, schemes, formats, architectures and backends that are installed')
    .option('--plugin <package>', 'package or file with more plug-ins; may be repeated', collect)
    .option('--json', 'print the list with the JSON Schema of each plug-in’s options')
    .action(async ({ json, plugin }: { json?: boolean; plugin?: string[] }) => {
      const registry = await loadRegistry(plugin);
      const list = registry.all().map(({ kind, name, aliases = [], meta, options }) => ({
        kind,
        name,
        aliases,
        ...meta,
        options: z.toJSONSchema(options, { io: 'input', unrepresentable: 'any' }) as { properties?: Record<string, unknown> },
      }));
      if (json) return void process.stdout.write(`${JSON.stringify(list, null, 2)}\n`);
      const rows = list.map((item) => [
        item.kind,
        [item.name, ...item.aliases].join(', '),
        item.description,
        Object.keys(item.options.properties ?? {}).join(', '),
      ]);
      process.stdout.write(`${renderTable(['kind', 'name', 'what', 'options'], rows, ['left', 'left', 'left', 'left'])}\n`);
    });
}
