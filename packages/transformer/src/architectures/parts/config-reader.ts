import { CalibrantError } from '@calibrant/core';

type Config = Readonly<Record<string, unknown>>;

/** Checked access to config.json. `null` counts as absent, as it does in Hugging Face's configs. */
export interface ConfigReader {
  /** A whole number of at least 1 (at most `max`), or the fallback; throws when the key is absent and no fallback is given. */
  size(key: string, fallback?: number, max?: number): number;
  /** A whole number of at least 0. */
  count(key: string, fallback: number): number;
  /** A finite number above 0. */
  positive(key: string, fallback?: number): number;
  optionalSize(key: string): number | undefined;
  flag(key: string, fallback: boolean): boolean;
  text(key: string, fallback: string): string;
  list(key: string): readonly unknown[] | undefined;
  object(key: string): ConfigReader | undefined;
  /** A number above 0, undefined where the config says `null`, the fallback where it says nothing. */
  nullable(key: string, fallback?: number): number | undefined;
  has(key: string): boolean;
  /** One id or several (`eos_token_id`). */
  ids(key: string): number[];
}

export interface ReadConfigOptions {
  /** Other names of keys, as older models or other libraries write them. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Where the object lies in config.json, for messages: `rope_parameters.`. */
  readonly path?: string;
}

export function readConfig(values: Config, { aliases = {}, path = '' }: ReadConfigOptions = {}): ConfigReader {
  const other = Object.entries(aliases).flatMap(([key, alias]) => (values[key] == null && alias in values ? [[key, values[alias]]] : []));
  const config: Config = { ...values, ...Object.fromEntries(other) };
  const value = (key: string): unknown => config[key] ?? undefined;
  const wrong = (key: string, expected: string): CalibrantError =>
    new CalibrantError(
      'CORRUPT_FILE',
      `config.json: "${path}${key}" must be ${expected}, found ${JSON.stringify(config[key]) ?? 'nothing'}. Check that the folder holds a complete model.`,
      { file: 'config.json', option: path + key },
    );

  const number = (key: string, fallback: number | undefined, expected: string, fits: (found: number) => boolean): number => {
    const found = value(key) ?? fallback;
    if (typeof found !== 'number' || !fits(found)) throw wrong(key, expected);
    return found;
  };
  const reader: ConfigReader = {
    size: (key, fallback, max = 2 ** 31 - 1) =>
      number(key, fallback, `a whole number from 1 to ${max}`, (found) => Number.isInteger(found) && found >= 1 && found <= max),
    count: (key, fallback) => number(key, fallback, 'a whole number of at least 0', (found) => Number.isSafeInteger(found) && found >= 0),
    positive: (key, fallback) => number(key, fallback, 'a number above 0', (found) => Number.isFinite(found) && found > 0),
    optionalSize: (key) => (value(key) === undefined ? undefined : reader.size(key)),
    flag(key, fallback) {
      const found = value(key) ?? fallback;
      if (typeof found !== 'boolean') throw wrong(key, 'true or false');
      return found;
    },
    text(key, fallback) {
      const found = value(key) ?? fallback;
      if (typeof found !== 'string') throw wrong(key, 'a string');
      return found;
    },
    list(key) {
      const found = value(key);
      if (found !== undefined && !Array.isArray(found)) throw wrong(key, 'a list');
      return found;
    },
    object(key) {
      const found = value(key);
      if (found === undefined) return undefined;
      if (typeof found !== 'object' || Array.isArray(found)) throw wrong(key, 'an object');
      return readConfig(found as Config, { path: `${path}${key}.` });
    },
    nullable: (key, fallback) =>
      config[key] === null || (config[key] ?? fallback) === undefined ? undefined : reader.positive(key, fallback),
    has: (key) => value(key) !== undefined,
    ids(key) {
      const found = value(key);
      const ids = found === undefined ? [] : Array.isArray(found) ? found : [found];
      if (!ids.every((id) => Number.isInteger(id) && id >= 0)) throw wrong(key, 'a token id or a list of token ids');
      return ids;
    },
  };
  return reader;
}
