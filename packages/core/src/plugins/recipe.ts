import { z } from 'zod';
import { CalibrantError } from '../errors.js';
import { nearest } from '../nearest.js';

/** A plug-in by name, with its options: `"gptq"` or `{ "name": "gptq", "options": { "actOrder": true } }`. */
const named = z.union([
  z
    .string()
    .min(1)
    .transform((name) => ({ name, options: {} as Record<string, unknown> })),
  z.strictObject({ name: z.string().min(1), options: z.record(z.string(), z.unknown()).default({}) }),
]);

const calibration = z.strictObject({
  source: z.enum(['self', 'file', 'folder']).default('self').describe('self: text that the model generates; file or folder: your own text'),
  path: z.string().optional().describe('the file or folder'),
  samples: z.number().int().min(1).default(256).describe('sequences'),
  length: z.number().int().min(2).default(512).describe('tokens per sequence'),
  seed: z.number().int().min(0).default(0).describe('of everything random'),
});

/** The schema of a recipe; {@link recipeJsonSchema} publishes it. */
export const recipeSchema = z.strictObject({
  version: z.literal('v1').default('v1').describe('of the form of recipes'),
  transforms: z.array(named).default([]).describe('rewrite weights before rounding, in this order'),
  quantizer: named.default({ name: 'rtn', options: {} }).describe('picks the codes: rtn, gptq'),
  scheme: named.default({ name: 'int4-g128-asym', options: {} }).describe('int4-g128-asym, int8-channel-sym, Q4_K_M, ...'),
  format: named.default({ name: 'gguf', options: {} }).describe('layout of the files: gguf, compressed-tensors'),
  calibration: calibration.optional().describe('text for methods that observe the model'),
  importance: z
    .union([
      z.strictObject({ file: z.string().min(1).describe('an importance matrix, such as llama-imatrix writes') }),
      z.strictObject({ calibration: calibration.describe('text on which it is computed') }),
    ])
    .optional()
    .describe('weighs the errors of block types such as Q4_K by the inputs of each layer'),
  keep: z.array(z.string()).default([]).describe('patterns of tensor names (with *) that stay unquantized'),
  overrides: z.record(z.string(), z.string()).default({}).describe('pattern of tensor names → scheme'),
});

/** What is composed: transforms ∘ quantizer ∘ scheme ∘ format, with the calibration set. */
export type Recipe = z.output<typeof recipeSchema>;
export type RecipeInput = z.input<typeof recipeSchema>;

/**
 * Checks a recipe and fills in the defaults.
 *
 * @throws CalibrantError `INVALID_RECIPE` that names the path and, for an unknown option, the nearest known one.
 */
export function parseRecipe(input: unknown): Recipe {
  return parseOptions(recipeSchema, input, 'recipe');
}

/** The JSON Schema of what a recipe file may hold, for editors and the documentation. */
export function recipeJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(recipeSchema, { io: 'input' });
}

/** Checks options by their schema; `what` starts the path in messages. */
export function parseOptions<T>(schema: z.ZodType<T>, input: unknown, what: string): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issues = result.error.issues.map(innermost);
  // A misspelt name also leaves the right one missing: the slip is what a person must see.
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0];
  const path = [what, ...issue.path.map(String)].join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, issue.path);
    const key = issue.keys[0];
    const close = nearest(key, known);
    throw new CalibrantError(
      'INVALID_RECIPE',
      `Unknown option "${path}.${key}".${close ? ` Did you mean "${close}"?` : ''}${known.length > 0 ? ` Known options here: ${known.join(', ')}.` : ''}`,
      { option: `${path}.${key}` },
    );
  }
  throw new CalibrantError('INVALID_RECIPE', `The option "${path}" is not valid: ${issue.message.replace(/\.$/, '')}.`, { option: path });
}

/** Of a union's issues, that of the branch whose type the value has: what is wrong inside is more telling than "expected string". */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== 'invalid_union') return issue;
  const branches = issue.errors.map((issues) => issues[0]).filter((branch) => branch !== undefined);
  const meant = branches.find((branch) => branch.code !== 'invalid_type' || branch.path.length > 0);
  if (!meant) {
    const expected = branches.map((branch) => String((branch as z.core.$ZodIssueInvalidType).expected));
    return { ...issue, message: `expected ${expected.join(' or ')}` };
  }
  return innermost({ ...meant, path: [...issue.path, ...meant.path] });
}

/** The keys of the object schema at a path, through unions, defaults and optionals. */
function knownKeys(schema: unknown, path: readonly PropertyKey[]): string[] {
  let node: any = schema;
  const unwrap = () => {
    for (;;) {
      const def = node?._zod?.def ?? node?.def;
      if (def?.innerType) node = def.innerType;
      else if (def?.type === 'pipe') node = def.in;
      else if (def?.type === 'union') node = def.options.find((o: { shape?: unknown }) => o.shape) ?? def.options[0];
      else return;
    }
  };
  unwrap();
  for (const step of path) {
    node = node?.shape?.[step] ?? node?.element ?? node?.valueType;
    unwrap();
  }
  return node?.shape ? Object.keys(node.shape) : [];
}
