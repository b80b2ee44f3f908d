import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { root } from './workspace.mjs';

const result = z.object({
  name: z.string().min(1),
  recipe: z.record(z.string(), z.unknown()),
  bytes: z.number().int().positive(),
  bitsPerWeight: z.number().positive(),
  quantizeSeconds: z.number().positive(),
  perplexity: z.number().positive(),
  perplexityStandardError: z.number().nonnegative(),
  basePerplexity: z.number().positive(),
  meanKl: z.number().positive(),
  klStandardError: z.number().nonnegative(),
  sameTopRate: z.number().min(0).max(1),
  sourceBytes: z.number().int().positive(),
  sourceBitsPerWeight: z.number().positive(),
  scoredTokens: z.number().int().positive(),
  protocol: z.string().min(1),
});

const schema = z.object({
  model: z.string().min(1),
  calibration: z.object({ source: z.string(), samples: z.number(), length: z.number() }),
  backend: z.string().min(1),
  seconds: z.number().positive(),
  results: z.array(result).min(1),
});

/** @typedef {z.output<typeof schema>} QuickstartResults */

/**
 * Reads what `npm run quickstart` measured. The site shows these figures and no others, so it cannot be built without them.
 *
 * @param {string} file
 * @returns {QuickstartResults}
 */
export function readQuickstartResults(file) {
  const shown = path.relative(root, file);
  const remedy = `Run \`npm run quickstart\` and copy quickstart-output/results.json to apps/docs-site/data/quickstart.json.`;
  if (!existsSync(file)) throw new Error(`${shown} is missing: the size and quality figures of the site are built from it. ${remedy}`);
  const parsed = schema.safeParse(parse(readFileSync(file, 'utf8'), shown));
  if (parsed.success) return parsed.data;
  throw new Error(`${shown} does not have the shape that the quickstart writes:\n${z.prettifyError(parsed.error)}\n${remedy}`);
}

/**
 * @param {string} text
 * @param {string} shown
 */
function parse(text, shown) {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${shown} is not valid JSON: ${/** @type {Error} */ (cause).message}`, { cause });
  }
}
