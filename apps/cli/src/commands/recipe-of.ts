import { readFile } from 'node:fs/promises';
import { CalibrantError, parseRecipe, type RecipeInput } from '@calibrant/core';
import { findPreset } from '@calibrant/pipeline';
import { type ExecutionOptions, executionOf } from './execution-options.js';
import { formatOptions, type GgufOptions, schemeOptions, tensorTypeOverrides } from './gguf-options.js';
import { assignments, type MethodOptions, methodOf } from './methods.js';
import { overridesOf } from './override-options.js';
import { calibrationSize, calibrationSource, importanceSource, type TextOptions } from './text-source.js';

/** Options of the command line that make a recipe. */
export interface RecipeOptions extends TextOptions, GgufOptions, MethodOptions, ExecutionOptions {
  readonly recipe?: string;
  readonly preset?: string;
  readonly calibrator?: string;
  readonly calibratorOption?: string[];
  readonly scheme?: string;
  readonly bits?: number;
  readonly groupSize?: string;
  readonly symmetric?: boolean;
  readonly format?: string;
  readonly calibration?: string;
  readonly imatrix?: string;
  readonly targetSize?: string;
  readonly targetBpw?: number;
  readonly targetTypes?: string[];
  readonly quantizeLmHead?: boolean;
  readonly propagate?: 'quantized' | 'full';
  readonly roundedCalibration?: boolean;
  readonly keep?: string[];
  readonly override?: string[];
  readonly formatOption?: string[];
}

/** The recipe file with the command line's options over it. */
export async function recipeOf(options: RecipeOptions): Promise<RecipeInput> {
  const base = await baseOf(options);
  const method = methodOf(options, base);
  const usual = usualOf(method.usual, options, base);
  const scheme = schemeOf(options) ?? usual.scheme;
  const calibration = calibrationOf(options, base.calibration);
  const target = targetOf(options, base.target);
  const targeted = (target.target ?? base.target) !== undefined;
  const overrides = {
    ...base.overrides,
    ...overridesOf(options.override),
    ...(targeted ? tensorTypeOverrides(options.tensorType) : {}),
  };
  return {
    ...base,
    ...method.recipe,
    ...(usual.format ? { format: usual.format } : {}),
    ...(usual.activations ? { activations: usual.activations } : {}),
    ...calibratorOf(options, base.calibrator),
    ...schemeAndFormat(options, scheme, base, targeted),
    ...(calibration ? { calibration } : {}),
    ...(options.imatrix === undefined ? {} : { importance: importanceSource(options.imatrix, options) }),
    ...target,
    ...executionOf(options, base),
    ...(options.quantizeLmHead ? { quantizeLmHead: true } : {}),
    ...(options.propagate === undefined ? {} : { propagate: options.propagate }),
    ...(options.roundedCalibration ? { roundedCalibration: true } : {}),
    ...(options.keep ? { keep: options.keep } : {}),
    ...(Object.keys(overrides).length > 0 ? { overrides } : {}),
  };
}

/** What goes with a method as far as nothing else was named: its scheme but for GGUF; with it its format, and its grid of activations where the format stores one. */
function usualOf(
  usual: ReturnType<typeof methodOf>['usual'],
  options: RecipeOptions,
  base: RecipeInput,
): { readonly scheme?: string; readonly format?: string | undefined; readonly activations?: string | undefined } {
  const format = options.format ?? (base.format === undefined ? undefined : nameOf(base.format, ''));
  if (!usual || base.scheme !== undefined || format === 'gguf') return {};
  if (schemeOf(options) !== undefined) return {};
  const stores = format === undefined || ['compressed-tensors', 'safetensors'].includes(format);
  return {
    scheme: usual.scheme,
    format: format === undefined ? usual.format : undefined,
    activations: stores && base.activations === undefined ? usual.activations : undefined,
  };
}

/** What the options are laid over: a recipe file, a preset, or nothing. */
async function baseOf({ recipe, preset }: RecipeOptions): Promise<RecipeInput> {
  if (recipe !== undefined && preset !== undefined)
    throw new CalibrantError('INVALID_ARGUMENT', 'Give either --recipe or --preset, not both.', { option: '--preset' });
  if (preset !== undefined) return findPreset(preset).recipe;
  return recipe === undefined ? {} : readRecipe(recipe);
}

function calibratorOf({ calibrator, calibratorOption }: RecipeOptions, base: RecipeInput['calibrator']): Pick<RecipeInput, 'calibrator'> {
  if (calibrator === undefined && calibratorOption === undefined) return {};
  const name = calibrator ?? (base === undefined ? undefined : nameOf(base, ''));
  if (name === undefined)
    throw new CalibrantError('INVALID_ARGUMENT', '--calibrator-option needs --calibrator, the calibrator whose option it is.', {
      option: '--calibrator-option',
    });
  const kept = base !== undefined && nameOf(base, '') === name ? optionsOf(base) : {};
  return { calibrator: { name, options: { ...kept, ...assignments(calibratorOption, '--calibrator-option') } } };
}

/** The scheme and the format as far as they are given, each with its options; core fills in the other so that they fit. */
function schemeAndFormat(
  options: RecipeOptions,
  scheme: string | undefined,
  base: RecipeInput,
  targeted: boolean,
): Pick<RecipeInput, 'scheme' | 'format'> {
  const ofScheme = schemeOptions(options, targeted);
  const named = options.formatOption ? assignments(options.formatOption, '--format-option') : undefined;
  const ofGguf = formatOptions(options, optionsOf(base.format));
  const ofFormat = named ? { ...optionsOf(base.format), ...ofGguf, ...named } : ofGguf;
  return {
    ...(ofScheme
      ? { scheme: { name: scheme ?? nameOf(base.scheme, 'Q4_K_M'), options: { ...optionsOf(base.scheme), ...ofScheme } } }
      : scheme
        ? { scheme }
        : {}),
    ...(ofFormat
      ? { format: { name: options.format ?? nameOf(base.format, 'gguf'), options: ofFormat } }
      : options.format
        ? { format: options.format }
        : {}),
  };
}

function targetOf({ targetSize, targetBpw, targetTypes }: RecipeOptions, base: RecipeInput['target']): Pick<RecipeInput, 'target'> {
  const types = targetTypes ? { types: targetTypes } : base?.types ? { types: base.types } : {};
  if (targetSize !== undefined && targetBpw !== undefined)
    throw new CalibrantError('INVALID_ARGUMENT', 'Give either --target-size or --target-bpw, not both.', { option: '--target-size' });
  if (targetSize !== undefined) return { target: { bytes: bytesOf(targetSize), ...types } };
  if (targetBpw !== undefined) return { target: { bitsPerWeight: targetBpw, ...types } };
  return targetTypes ? { target: { ...base, ...types } } : {};
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, ki: 2 ** 10, mi: 2 ** 20, gi: 2 ** 30 };

/** `4.2GB`, `800M`, `3GiB` in bytes. */
function bytesOf(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmg]i?)?b?$/i.exec(text.trim());
  const bytes = match ? Math.floor(Number(match[1]) * UNITS[(match[2] ?? '').toLowerCase()]) : 0;
  if (bytes > 0) return bytes;
  throw new CalibrantError('INVALID_ARGUMENT', `--target-size takes a size such as 4.2GB, 800MB or 3GiB, found "${text}".`, {
    option: '--target-size',
  });
}

/** @throws CalibrantError `NOT_FOUND`, `INVALID_RECIPE` that name the file */
export async function readRecipe(file: string): Promise<RecipeInput> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new CalibrantError(
      'NOT_FOUND',
      `Cannot read the recipe ${file}: ${(cause as NodeJS.ErrnoException).code}. Give the path of a JSON file.`,
      { file, option: '--recipe', cause },
    );
  }
  let recipe: unknown;
  try {
    recipe = JSON.parse(text);
  } catch (cause) {
    throw new CalibrantError('INVALID_RECIPE', `The recipe ${file} is not valid JSON: ${(cause as Error).message}.`, { file, cause });
  }
  parseRecipe(recipe);
  return recipe as RecipeInput;
}

function schemeOf({ scheme, bits, groupSize, symmetric, format }: RecipeOptions): string | undefined {
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
  return `int${bits ?? 4}-${/^\d+$/.test(size) ? `g${size}` : size}-${symmetric || format === 'gptq' ? 'sym' : 'asym'}`;
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

function calibrationOf({ calibration, ...size }: RecipeOptions, base: RecipeInput['calibration']): RecipeInput['calibration'] {
  const { samples, length, seed, calibrationMode } = size;
  if ([calibration, samples, length, seed, calibrationMode].every((option) => option === undefined)) return base;
  // Another source takes the place of all that says where the one before is.
  const { source, path, parts, ...rest } = base ?? {};
  const from = calibration === undefined ? { source, path, parts } : calibrationSource(calibration);
  return { ...rest, ...Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)), ...calibrationSize(size) };
}

type Named = RecipeInput['quantizer'];

function nameOf(plugin: Named, otherwise: string): string {
  return typeof plugin === 'string' ? plugin : (plugin?.name ?? otherwise);
}

function optionsOf(plugin: Named): Record<string, unknown> {
  return typeof plugin === 'object' ? (plugin.options ?? {}) : {};
}
