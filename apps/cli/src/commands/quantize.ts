import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { CalibrantError, type RecipeInput } from '@calibrant/core';
import { type QuantizeResult, quantizeModel } from '@calibrant/pipeline';
import { type Command, Option } from 'commander';
import { formatBytes, formatCount, formatDuration } from '../output/format.js';
import { addCommonOptions, wholeNumber } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';

interface QuantizeOptions extends CommonOptions {
  readonly out: string;
  readonly recipe?: string;
  readonly method?: string;
  readonly scheme?: string;
  readonly bits?: number;
  readonly groupSize?: string;
  readonly symmetric?: boolean;
  readonly format?: string;
  readonly calibration?: string;
  readonly samples?: number;
  readonly length?: number;
  readonly seed?: number;
  readonly keep?: string[];
  readonly set?: string[];
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

/** `calibrant quantize`: a recipe, or options that make one. */
export function addQuantize(program: Command): Command {
  const command = program
    .command('quantize')
    .description('quantize a model')
    .argument('<model>', 'a folder, a GGUF file, or a Hugging Face repository (org/name, org/name@revision)')
    .requiredOption('--out <folder>', 'where the quantized model goes; must be empty or not exist')
    .option('--recipe <file>', 'a recipe in JSON; the options below override it')
    .option('--method <name>', 'rtn (no data, default) or gptq (calibrated)')
    .option('--scheme <name>', 'Q4_K_M, Q8_0, int4-g128-asym, int8-channel-sym, ...')
    .option('--bits <n>', '2 to 8, with --group-size instead of --scheme', wholeNumber)
    .option('--group-size <n>', 'weights per scale; channel or tensor for one scale per row or tensor')
    .option('--symmetric', 'no zero points')
    .addOption(new Option('--format <name>', 'gguf or safetensors (compressed-tensors)'))
    .option('--calibration <source>', 'self (text that the model generates), or a file or folder of text')
    .option('--samples <n>', 'calibration sequences (default 256)', wholeNumber)
    .option('--length <n>', 'tokens per calibration sequence (default 512)', wholeNumber)
    .option('--seed <n>', 'seed of everything random (default 0)', Number)
    .option('--keep <pattern...>', 'names of tensors to leave unquantized, with *')
    .option('--set <option=value...>', 'options of the method, such as actOrder=full')
    .option('--force', 'replace what is in the output folder')
    .option('--dry-run', 'show the plan and its size, write nothing');
  return addCommonOptions(command).action(async (model: string, options: QuantizeOptions) => {
    const recipe = await recipeOf(options);
    const result = await withRun(options, ({ registry, backend, reporter, signal }) =>
      quantizeModel({
        model,
        recipe,
        out: options.out,
        force: options.force ?? false,
        dryRun: options.dryRun ?? false,
        registry,
        backend,
        onEvent: reporter.onEvent,
        signal,
      }),
    );
    process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${summary(result)}\n`);
  });
}

/** The recipe file with the command line's options over it. */
async function recipeOf(options: QuantizeOptions): Promise<RecipeInput> {
  const base = options.recipe === undefined ? {} : await readRecipe(options.recipe);
  const scheme = schemeOf(options);
  const method = options.method ?? (options.set ? nameOf(base.quantizer) : undefined);
  const calibration = calibrationOf(options, base.calibration);
  return {
    ...base,
    ...(method ? { quantizer: { name: method, options: { ...optionsOf(base.quantizer), ...assignments(options.set) } } } : {}),
    ...(scheme
      ? { scheme }
      : options.recipe
        ? {}
        : { scheme: options.format === 'safetensors' || options.format === 'compressed-tensors' ? 'int4-g128-asym' : 'Q4_K_M' }),
    ...(options.format ? { format: options.format } : options.recipe ? {} : { format: isInteger(scheme) ? 'compressed-tensors' : 'gguf' }),
    ...(calibration ? { calibration } : {}),
    ...(options.keep ? { keep: options.keep } : {}),
  };
}

async function readRecipe(file: string): Promise<RecipeInput> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new CalibrantError(
      'NOT_FOUND',
      `Cannot read the recipe ${file}: ${(cause as NodeJS.ErrnoException).code}. Give the path of a JSON file.`,
      { file, cause },
    );
  }
  try {
    return JSON.parse(text) as RecipeInput;
  } catch (cause) {
    throw new CalibrantError('INVALID_RECIPE', `The recipe ${file} is not valid JSON: ${(cause as Error).message}.`, { file, cause });
  }
}

function schemeOf({ scheme, bits, groupSize, symmetric, format }: QuantizeOptions): string | undefined {
  if (scheme && (bits !== undefined || groupSize !== undefined || symmetric))
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      '--scheme already says the bits and groups: leave out --bits, --group-size and --symmetric, or leave out --scheme.',
      { option: '--scheme' },
    );
  if (scheme) return scheme;
  if (format === 'gguf' && bits !== undefined && groupSize === undefined) return ggufScheme(bits);
  if (bits === undefined && groupSize === undefined && !symmetric) return undefined;
  const size = groupSize ?? '128';
  if (!/^(\d+|channel|tensor)$/.test(size))
    throw new CalibrantError('INVALID_ARGUMENT', `--group-size must be a whole number, "channel" or "tensor", found "${size}".`, {
      option: '--group-size',
    });
  return `int${bits ?? 4}-${/^\d+$/.test(size) ? `g${size}` : size}-${symmetric ? 'sym' : 'asym'}`;
}

/** GGUF has no free choice of bits and groups: the type that users of that width take. */
function ggufScheme(bits: number): string {
  const scheme = new Map([
    [4, 'Q4_K_M'],
    [6, 'Q6_K'],
    [8, 'Q8_0'],
  ]).get(bits);
  if (!scheme)
    throw new CalibrantError(
      'UNSUPPORTED',
      `For --format gguf, --bits can be 4 (Q4_K_M), 6 (Q6_K) or 8 (Q8_0), found ${bits}. Name a type with --scheme, or use --format safetensors.`,
      {
        option: '--bits',
      },
    );
  return scheme;
}

function isInteger(scheme: string | undefined): boolean {
  return scheme?.startsWith('int') ?? false;
}

function calibrationOf(
  { calibration, samples, length, seed }: QuantizeOptions,
  base: RecipeInput['calibration'],
): RecipeInput['calibration'] {
  if (calibration === undefined && samples === undefined && length === undefined && seed === undefined) return base;
  const source =
    calibration === undefined
      ? {}
      : calibration === 'self'
        ? { source: 'self' as const }
        : { source: textSource(calibration), path: calibration };
  return { ...base, ...source, ...(samples ? { samples } : {}), ...(length ? { length } : {}), ...(seed === undefined ? {} : { seed }) };
}

function textSource(path: string): 'file' | 'folder' {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ? 'folder' : 'file';
}

function nameOf(quantizer: RecipeInput['quantizer']): string {
  return typeof quantizer === 'string' ? quantizer : (quantizer?.name ?? 'rtn');
}

function optionsOf(quantizer: RecipeInput['quantizer']): Record<string, unknown> {
  return typeof quantizer === 'object' ? (quantizer.options ?? {}) : {};
}

/** `a=1 b=true c=text` as an object. */
function assignments(set: readonly string[] = []): Record<string, unknown> {
  return Object.fromEntries(
    set.map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw new CalibrantError('INVALID_ARGUMENT', `--set takes option=value, found "${text}".`, { option: '--set' });
      const value = text.slice(at + 1);
      return [text.slice(0, at), /^(true|false|null|-?\d+(\.\d+)?(e-?\d+)?)$/.test(value) ? JSON.parse(value) : value];
    }),
  );
}

function summary(result: QuantizeResult): string {
  const { files, bytes, bitsPerWeight, sourceBytes, seconds, tensors } = result;
  const quantized = tensors.filter(({ scheme }) => !/^(f32|f16|bf16)$/.test(scheme)).length;
  const saved = `${formatBytes(bytes)} (${bitsPerWeight.toFixed(2)} bits per weight, was ${formatBytes(sourceBytes)})`;
  if (result.dryRun) return [`Would write ${saved}:`, ...planLines(result)].join('\n');
  return [
    `Wrote ${saved} in ${formatDuration(seconds * 1000)}: ${formatCount(quantized)} of ${formatCount(tensors.length)} tensors quantized.`,
    ...files.map((file) => `  ${file}`),
  ].join('\n');
}

/** How many tensors of each type, with their bytes. */
function planLines({ tensors }: QuantizeResult): string[] {
  const bySchemes = new Map<string, { count: number; bytes: number }>();
  for (const { scheme, bytes } of tensors) {
    const entry = bySchemes.get(scheme) ?? { count: 0, bytes: 0 };
    bySchemes.set(scheme, { count: entry.count + 1, bytes: entry.bytes + bytes });
  }
  return [...bySchemes].map(([scheme, { count, bytes }]) => `  ${scheme}: ${count} tensors, ${formatBytes(bytes)}`);
}
