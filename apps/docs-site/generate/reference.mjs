import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { recipeJsonSchema, recipeSchema } from '@calibrant/core';
import { z } from 'zod';
import { schemaTable } from './schema-table.mjs';
import { site } from './workspace.mjs';

/** The headings under which the recipe reference lists plug-ins, in the order of a recipe. */
const KINDS = [
  ['transform', 'Transforms'],
  ['quantizer', 'Quantizers'],
  ['scheme', 'Named schemes'],
  ['format', 'Formats'],
];

/**
 * Writes the tables of the reference: the recipe itself, the options of every plug-in that a recipe may name, and the families of models.
 *
 * @param {readonly import('@calibrant/core').Plugin[]} plugins
 */
export function generateReference(plugins) {
  const schema = recipeJsonSchema();
  write('recipe.md', schemaTable(schema, recipeSchema.parse({})));
  write('recipe-schema.md', `\`\`\`json\n${JSON.stringify(schema, null, 2)}\n\`\`\``);
  write('architectures.md', architectureTable(plugins));
  write(
    'plugins.md',
    KINDS.map(([kind, title]) =>
      section(
        title,
        plugins.filter((plugin) => plugin.kind === kind),
      ),
    ).join('\n'),
  );
}

/**
 * @param {string} title
 * @param {readonly import('@calibrant/core').Plugin[]} plugins
 */
function section(title, plugins) {
  if (plugins.length === 0) return '';
  const rows = plugins.map(({ name, aliases = [], meta }) => {
    const names = [name, ...aliases].map((each) => `\`${each}\``).join(', ');
    return `| ${names} | ${meta.description} | [${meta.package.replace('@calibrant/', '')}](${pageOf(meta.package)}) |`;
  });
  return `### ${title}\n\n| name | what it is | package |\n| --- | --- | --- |\n${rows.join('\n')}\n${options(plugins)}`;
}

/** @param {readonly import('@calibrant/core').Plugin[]} plugins */
function architectureTable(plugins) {
  const rows = plugins
    .filter((plugin) => plugin.kind === 'architecture')
    .map(({ name, modelTypes, meta }) => `| ${name} | ${modelTypes.map((type) => `\`${type}\``).join(', ')} | ${meta.description} |`);
  return `| family | names in config.json | what it is |\n| --- | --- | --- |\n${rows.join('\n')}`;
}

/**
 * The tables of options; plug-ins with the same options share one.
 *
 * @param {readonly import('@calibrant/core').Plugin[]} plugins
 */
function options(plugins) {
  /** @type {Map<string, string[]>} */
  const tables = new Map();
  for (const { name, options: schema } of plugins) {
    const described = jsonSchema(schema);
    if (Object.keys(described.properties ?? {}).length === 0) continue;
    const table = schemaTable(described);
    tables.set(table, [...(tables.get(table) ?? []), `\`${name}\``]);
  }
  return [...tables].map(([table, names]) => `\nOptions of ${names.join(', ')}:\n\n${table}\n`).join('');
}

/**
 * @param {z.ZodType} schema
 * @returns {import('./schema-table.mjs').JsonSchema}
 */
function jsonSchema(schema) {
  return /** @type {any} */ (z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }));
}

/** @param {string} name */
function pageOf(name) {
  return `/packages/${name.replace('@calibrant/', '')}`;
}

/**
 * @param {string} file
 * @param {string} text
 */
function write(file, text) {
  writeFileSync(path.join(site, 'generated', file), `${text}\n`);
}
