import { z } from 'zod';
import { CalibrantError } from '../errors.js';
import { nearest } from '../nearest.js';
import { withMatchingDefaults } from './recipe-defaults.js';

/** A plug-in by name, with its options: `"gptq"` or `{ "name": "gptq", "options": { "actOrder": true } }`. */
const named = z.union([
  z
    .string()
    .min(1)
    .transform((name) => ({ name, options: {} as Record<string, unknown> })),
  z.strictObject({ name: z.string().min(1), options: z.record(z.string(), z.unknown()).default({}) }),
]);

const SOURCES = ['self', 'file', 'folder', 'hub', 'random'] as const;

const calibration = z.strictObject({
  source: z
    .enum([...SOURCES, 'mixture'])
    .default('self')
    .describe(
      'self: text that the model generates; file or folder: your own text; hub: a data set of the Hugging Face Hub; random: random tokens; mixture: several of these, see parts',
    ),
  parts: z
    .array(
      z.strictObject({
        source: z.enum(SOURCES).default('file'),
        path: z.string().optional(),
        share: z.number().positive().default(1).describe('of the sequences, in relation to the shares of the others'),
      }),
    )
    .min(1)
    .optional()
    .describe('of a mixture'),
  path: z.string().optional().describe('the file or folder, or org/name[@revision][:split] of the data set'),
  mode: z
    .enum(['pack', 'documents', 'truncate'])
    .optional()
    .describe('pack (default): documents are joined and cut; documents: one or more sequences each; truncate: the beginning of each'),
  samples: z.number().int().min(1).default(256).describe('sequences'),
  length: z.number().int().min(2).default(512).describe('tokens per sequence'),
  seed: z.number().int().min(0).default(0).describe('of everything random'),
});

/** What tensors get instead of the recipe's own: `"int8-g128-sym"`, or `{ "scheme": "int8-g128-sym", "options": { "dampPercent": 0.05 } }`. */
const override = z.union([
  z
    .string()
    .min(1)
    .transform((scheme) => ({ scheme, options: {} as Record<string, unknown> })),
  z.strictObject({
    scheme: z.string().min(1).optional().describe("the recipe's if absent"),
    options: z.record(z.string(), z.unknown()).default({}).describe('of the quantizer, over those of the recipe'),
  }),
]);

/** The schema of a recipe; {@link recipeJsonSchema} publishes it. */
export const recipeSchema = z.strictObject({
  version: z.literal('v1').default('v1').describe('of the form of recipes'),
  transforms: z.array(named).default([]).describe('rewrite weights before rounding, in this order'),
  quantizer: named.default({ name: 'rtn', options: {} }).describe('picks the codes: rtn, gptq'),
  calibrator: named
    .optional()
    .describe('chooses the ranges of integer grids: minmax, percentile, mse, entropy; if absent the whole range of the weights'),
  scheme: named
    .default({ name: 'Q4_K_M', options: {} })
    .describe('Q4_K_M, int4-g128-asym, int8-channel-sym, ...; if absent what fits the format'),
  format: named
    .default({ name: 'gguf', options: {} })
    .describe('layout of the files: gguf, gptq, awq, compressed-tensors; if absent what fits the scheme'),
  calibration: calibration.optional().describe('text for methods that observe the model'),
  statistics: z
    .string()
    .min(1)
    .optional()
    .describe('a file of calibrant calibrate, whose tokens and statistics take the place of calibration'),
  importance: z
    .union([
      z.strictObject({ file: z.string().min(1).describe('an importance matrix, such as llama-imatrix writes') }),
      z.strictObject({ calibration: calibration.describe('text on which it is computed') }),
    ])
    .optional()
    .describe('weighs the errors of block types such as Q4_K by the inputs of each layer'),
  target: z
    .strictObject({
      bytes: z.number().int().min(1).optional().describe('of the whole output at most'),
      bitsPerWeight: z.number().positive().optional().describe('over all tensors at most'),
      types: z.array(z.string().min(1)).min(1).optional().describe('schemes to choose from, one for each tensor'),
    })
    .refine(({ bytes, bitsPerWeight }) => (bytes === undefined) !== (bitsPerWeight === undefined), 'name either bytes or bitsPerWeight')
    .optional()
    .describe('chooses a type for each tensor that the scheme quantizes, so that the measured error is least at this size'),
  propagate: z
    .enum(['quantized', 'full'])
    .optional()
    .describe(
      'what the next block is calibrated on: outputs of the quantized blocks (default with gptq), or of the full-precision ones (default otherwise)',
    ),
  activations: z
    .string()
    .min(1)
    .optional()
    .describe('grid of the inputs of linear layers: int8-token, fp8-token, int4-g128, int8-tensor-static, ...; floating point if absent'),
  keepActivations: z.array(z.string().min(1)).default([]).describe('patterns of weight names whose inputs stay in floating point'),
  kvCache: z
    .string()
    .min(1)
    .optional()
    .describe('grid of cached keys and values: fp8-tensor-static, int8-head, int4-g64-asym, ...; floating point if absent'),
  activationCalibrator: named
    .optional()
    .describe(
      'chooses the static ranges of activations and caches: minmax, moving-average, percentile, mse, entropy; if absent percentile for integers, minmax for floats',
    ),
  roundedCalibration: z
    .boolean()
    .default(false)
    .describe('methods that observe the model see inputs and caches as the dynamic grids above round them'),
  quantizeLmHead: z
    .boolean()
    .default(false)
    .describe('quantize the output projection (lm_head), too, where it is no copy of the embedding; formats gptq and compressed-tensors'),
  keep: z.array(z.string()).default([]).describe('patterns of tensor names (with *) that stay unquantized'),
  overrides: z
    .record(z.string(), override)
    .default({})
    .describe(
      'pattern of tensor names → scheme, or { scheme, options }: another grid, other options of the quantizer; later patterns go over earlier ones',
    ),
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
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw new CalibrantError(
      'INVALID_RECIPE',
      `A recipe is a JSON object, found ${Array.isArray(input) ? 'a list' : JSON.stringify(input)}.`,
      {
        option: 'recipe',
      },
    );
  return parseOptions(recipeSchema, withMatchingDefaults(input), 'recipe');
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
  const issue = mostTelling(issues);
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

/** A misspelt name also leaves the right one missing: the slip is what a person must see. */
function mostTelling<Issue extends z.core.$ZodIssue>(issues: readonly Issue[]): Issue {
  return issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0];
}

/** Of a union's issues, those of the branch that the value fits best: what is wrong inside is more telling than "expected string". */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== 'invalid_union') return issue;
  const branches = issue.errors.filter((issues) => issues.length > 0).sort((a, b) => a.length - b.length);
  const meant = branches.find(([first]) => first.code !== 'invalid_type' || first.path.length > 0);
  if (!meant) {
    const expected = branches.map(([first]) => String((first as z.core.$ZodIssueInvalidType).expected));
    return { ...issue, message: `expected ${expected.join(' or ')}` };
  }
  const telling = mostTelling(meant);
  return innermost({ ...telling, path: [...issue.path, ...telling.path] });
}

/** The keys of the object schemas at a path: of all branches, where a union lies on the way. */
function knownKeys(schema: unknown, path: readonly PropertyKey[]): string[] {
  let nodes = branchesOf(schema);
  for (const step of path) nodes = nodes.flatMap((node) => branchesOf(node.shape?.[step] ?? node.element ?? node.valueType));
  return [...new Set(nodes.flatMap(({ shape = {} }) => Object.keys(shape)))];
}

interface SchemaNode {
  readonly def?: { readonly type: string; readonly innerType?: unknown; readonly in?: unknown; readonly options?: readonly unknown[] };
  readonly shape?: Readonly<Record<PropertyKey, unknown>>;
  readonly element?: unknown;
  readonly valueType?: unknown;
}

/** A schema without what wraps it: a default, an optional, a transformation, the branches of a union. */
function branchesOf(schema: unknown): SchemaNode[] {
  if (schema === undefined) return [];
  const { def } = schema as SchemaNode;
  if (def?.innerType) return branchesOf(def.innerType);
  if (def?.type === 'pipe') return branchesOf(def.in);
  if (def?.type === 'union') return (def.options ?? []).flatMap(branchesOf);
  return [schema as SchemaNode];
}
