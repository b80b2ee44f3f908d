import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { site } from './workspace.mjs';

const schema = z.object({
  text: z.string().min(1),
  windows: z.number().optional(),
  bases: z
    .array(z.object({ model: z.string(), perplexity: z.number().positive(), scoredTokens: z.number().positive(), protocol: z.string() }))
    .min(1),
  groups: z
    .array(
      z.object({
        title: z.string().min(1),
        calibration: z.object({ text: z.string(), samples: z.number(), length: z.number() }),
        rows: z
          .array(
            z.object({
              name: z.string().min(1),
              results: z
                .array(
                  z.object({
                    model: z.string(),
                    bitsPerWeight: z.number().positive(),
                    sameTop: z.number().min(0).max(1),
                    perplexity: z.number().positive(),
                    meanKl: z.number().nonnegative(),
                    klStandardError: z.number().nonnegative(),
                  }),
                )
                .min(1),
            }),
          )
          .min(1),
      }),
    )
    .min(1),
});

/** Writes the tables of methods that `npm run quality` measured, one for each group of runs, and how they were measured. */
export function generateQualityTables() {
  const measured = JSON.parse(readFileSync(path.join(site, 'data/quality.json'), 'utf8'));
  writeFileSync(path.join(site, 'generated/quality-tables.md'), qualityTables(measured));
}

/**
 * @param {unknown} measured what `npm run quality` wrote
 * @throws ZodError where it has another form
 */
export function qualityTables(measured) {
  const parsed = schema.parse(measured);
  const tables = parsed.groups.map(
    ({ title, calibration, rows }) =>
      `## ${title}\n\n${table(rows, parsed.bases)}\n\nCalibrated on ${calibration.samples} sequences of ${calibration.length} tokens of \`${calibration.text}\`, where a method needs it.`,
  );
  return `${tables.join('\n\n')}\n\n${conditions(parsed)}\n`;
}

/**
 * @param {z.output<typeof schema>['groups'][number]['rows']} rows
 * @param {z.output<typeof schema>['bases']} bases
 */
function table(rows, bases) {
  const head = ['', 'bits per weight', ...bases.flatMap(({ model }) => [`KL, ${model}`, 'perplexity'])];
  const lines = [
    head,
    head.map((_, i) => (i === 0 ? '---' : '---:')),
    ['full precision', '16 or 32', ...bases.flatMap(({ perplexity }) => ['0', perplexity.toFixed(3)])],
    ...rows.map(({ name, results }) => [
      name,
      results[0].bitsPerWeight.toFixed(2),
      ...results.flatMap(({ meanKl, klStandardError, perplexity }) => [
        `${meanKl.toFixed(4)} ± ${klStandardError.toFixed(4)}`,
        perplexity.toFixed(3),
      ]),
    ]),
  ];
  const markdown = lines.map((row) => `| ${row.join(' | ')} |`).join('\n');
  return `<div class="results-table" tabindex="0" role="region" aria-label="Results">\n\n${markdown}\n\n</div>`;
}

/** @param {z.output<typeof schema>} quality */
function conditions({ text, bases }) {
  return [
    '## How it was measured',
    '',
    `- ${bases[0].scoredTokens.toLocaleString('en')} scored tokens of \`${text}\`, protocol \`${bases[0].protocol}\`; KL divergence in nats, ± one standard error over tokens.`,
    `- The twin computes the same function but has four channels that are 50 times larger in every block (\`calibrant outliers inject\`).`,
  ].join('\n');
}
