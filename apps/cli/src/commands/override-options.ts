import { CalibrantError, type RecipeInput } from '@calibrant/core';
import { assignments } from './methods.js';

type Overrides = NonNullable<RecipeInput['overrides']>;

const EXPECTED =
  "--override takes PATTERN=SCHEME, with options of the method after commas: '*.down_proj.weight=int8-g128-sym,dampPercent=0.05'";

/** `--override PATTERN=SCHEME[,option=value…]`, or options alone, as the recipe's `overrides`. */
export function overridesOf(given: readonly string[] = []): Overrides {
  return Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf('=');
      const parts = text.slice(at + 1).split(',');
      if (at < 1 || parts.includes('')) throw refusal(text);
      const schemes = parts.filter((part) => !part.includes('='));
      const options = assignments(
        parts.filter((part) => part.includes('=')),
        '--override',
      );
      if (schemes.length > 1) throw refusal(text);
      return [text.slice(0, at), { ...(schemes.length > 0 ? { scheme: schemes[0] } : {}), options }];
    }),
  );
}

function refusal(text: string): CalibrantError {
  return new CalibrantError('INVALID_ARGUMENT', `${EXPECTED}; found "${text}".`, { option: '--override' });
}
