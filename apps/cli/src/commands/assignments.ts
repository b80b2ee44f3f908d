import { CalibrantError } from '@calibrant/core';

/** `a=1 b=true c=text` as an object. */
export function assignments(set: readonly string[] = [], option = '--set'): Record<string, unknown> {
  return Object.fromEntries(
    set.map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw new CalibrantError('INVALID_ARGUMENT', `${option} takes option=value, found "${text}".`, { option });
      const value = text.slice(at + 1);
      return [text.slice(0, at), /^(true|false|null|-?\d+(\.\d+)?(e-?\d+)?)$/.test(value) ? JSON.parse(value) : value];
    }),
  );
}
