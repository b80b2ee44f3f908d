import { CalibrantError, type RecipeInput } from '@calibrant/core';

/** Options of `calibrant quantize` for GGUF, under the names that llama-quantize gives them where it has them. */
export interface GgufOptions {
  readonly pure?: boolean;
  readonly search?: string;
  /** `--no-fallback`. */
  readonly fallback?: boolean;
  readonly outputTensorType?: string;
  readonly tokenEmbeddingType?: string;
  readonly tensorType?: string[];
  readonly overrideKv?: string[];
  readonly pre?: string;
  readonly modelName?: string;
  readonly keepSplit?: boolean;
  readonly splitMaxSize?: string;
  readonly splitMaxTensors?: number;
}

/** Options of a GGUF scheme; undefined when none is given. */
export function schemeOptions(options: GgufOptions, targeted: boolean): Record<string, unknown> | undefined {
  const { pure, search, fallback, outputTensorType, tokenEmbeddingType, tensorType } = options;
  const found = {
    ...(pure ? { pure } : {}),
    ...(search === undefined ? {} : { search }),
    ...(fallback === false ? { noFallback: true } : {}),
    ...(outputTensorType ? { outputTensorType: outputTensorType.toUpperCase() } : {}),
    ...(tokenEmbeddingType ? { tokenEmbeddingType: tokenEmbeddingType.toUpperCase() } : {}),
    ...(tensorType && !targeted ? { tensorTypes: tensorTypes(tensorType) } : {}),
  };
  return Object.keys(found).length > 0 ? found : undefined;
}

/**
 * `--tensor-type PATTERN=TYPE` as overrides, which hold where types are chosen for a target size. As in llama-quantize the first that matches counts; of a
 * recipe's overrides the last does.
 */
export function tensorTypeOverrides(given: readonly string[] = []): RecipeInput['overrides'] {
  const pairs = pairsOf(given).map(([pattern, type]): [string, string] => {
    if (REGEX.test(pattern))
      throw new CalibrantError('INVALID_ARGUMENT', `With a target size, --tensor-type takes a piece of a name or *, found "${pattern}".`, {
        option: '--tensor-type',
      });
    return [pattern.includes('*') || pattern.endsWith('.weight') ? pattern : `*${pattern}*`, type];
  });
  const first = pairs.filter(([pattern], i) => pairs.findIndex(([other]) => other === pattern) === i);
  return Object.fromEntries(first.reverse());
}

/** What only regular expressions have. */
const REGEX = /[[\]()|^$+?\\]|\.\*/;

/**
 * The same as the option of a GGUF scheme, whose rules then count as llama-quantize does. A pattern is a regular expression, a name with `*` for any
 * characters, a piece of the name (`attn_v`), or a whole name that ends in `.weight`.
 */
function tensorTypes(given: readonly string[]): Record<string, string> {
  const pairs = pairsOf(given).map(([pattern, type]): [string, string] => {
    if (REGEX.test(pattern)) return [pattern, type.toUpperCase()];
    const literal = pattern.replaceAll('.', '\\.').replaceAll('*', '.*');
    return [pattern.includes('*') || pattern.endsWith('.weight') ? `^${literal}$` : literal, type.toUpperCase()];
  });
  return Object.fromEntries(pairs.filter(([pattern], i) => pairs.findIndex(([other]) => other === pattern) === i));
}

function pairsOf(given: readonly string[]): [string, string][] {
  return given.map((text) => {
    const at = text.lastIndexOf('=');
    if (at < 1 || at === text.length - 1)
      throw new CalibrantError('INVALID_ARGUMENT', `--tensor-type takes PATTERN=TYPE, such as attn_v=Q6_K, found "${text}".`, {
        option: '--tensor-type',
      });
    return [text.slice(0, at), text.slice(at + 1)];
  });
}

/** Options of the GGUF format over those of a recipe; undefined when none is given. */
export function formatOptions(options: GgufOptions, base: Record<string, unknown>): Record<string, unknown> | undefined {
  const { overrideKv, keepSplit, splitMaxSize, splitMaxTensors, pre, modelName } = options;
  const found = {
    ...(overrideKv ? { metadata: { ...(base.metadata as Record<string, unknown> | undefined), ...metadataOf(overrideKv) } } : {}),
    ...(pre ? { pre } : {}),
    ...(modelName ? { name: modelName } : {}),
    ...(keepSplit ? { keepSplit } : {}),
    ...(splitMaxSize ? { splitMaxSize } : {}),
    ...(splitMaxTensors ? { splitMaxTensors } : {}),
  };
  return Object.keys(found).length > 0 ? { ...base, ...found } : undefined;
}

const TYPES: Readonly<Record<string, string>> = { int: 'u32', float: 'f32', str: 'string' };

/** `--override-kv KEY=TYPE:VALUE` as the GGUF format's option `metadata`. */
function metadataOf(given: readonly string[]): Record<string, { type: string; value: number | boolean | string }> {
  return Object.fromEntries(
    given.map((text) => {
      const match = /^([^=]+)=(\w+):(.*)$/s.exec(text);
      if (!match) throw invalid(text);
      const [, key, name, raw] = match;
      const type = name === 'int' && raw.startsWith('-') ? 'i32' : (TYPES[name] ?? name);
      return [key, { type, value: parseValue(type, raw, text) }];
    }),
  );
}

function parseValue(type: string, raw: string, text: string): number | boolean | string {
  if (type === 'string') return raw;
  if (type === 'bool' && /^(true|false)$/.test(raw)) return raw === 'true';
  if (type === 'bool' || raw.trim() === '' || !Number.isFinite(Number(raw))) throw invalid(text);
  return Number(raw);
}

function invalid(text: string): CalibrantError {
  return new CalibrantError(
    'INVALID_ARGUMENT',
    `--override-kv takes KEY=TYPE:VALUE with the types int, float, bool and str (or GGUF's u8 to i64, f32, f64), such as general.license=str:mit, found "${text}".`,
    { option: '--override-kv' },
  );
}
