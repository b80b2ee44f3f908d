import { CalibrantError, type PlannedTensor, parseOptions, type Quantizer, type Recipe } from '@calibrant/core';
import { matchesPattern } from './patterns.js';

/** The quantizer's options, for the run and for each tensor. */
export interface MethodOptions {
  readonly common: unknown;
  of(tensor: Pick<PlannedTensor, 'name' | 'source'>): unknown;
}

/** Options that say how calibration goes through a block, which is one for all its layers. */
const OF_BLOCKS = ['trueSequential', 'calibrateAllExperts'];

/**
 * The options of a recipe's quantizer with those of `overrides`, of which later ones go over earlier ones.
 *
 * @throws CalibrantError `INVALID_RECIPE` for options that the quantizer does not take, or that cannot differ between layers.
 */
export function methodOptions({ quantizer: named, overrides }: Recipe, quantizer: Quantizer): MethodOptions {
  const common = parseOptions(quantizer.options, named.options, 'recipe.quantizer.options');
  const changes = Object.entries(overrides).filter(([, { options }]) => Object.keys(options).length > 0);
  for (const [pattern, { options }] of changes) {
    parseOptions(quantizer.options, { ...named.options, ...options }, `recipe.overrides.${pattern}.options`);
    const fixed = OF_BLOCKS.find((name) => name in options);
    if (fixed)
      throw new CalibrantError(
        'INVALID_RECIPE',
        `The option "${fixed}" in recipe.overrides["${pattern}"] holds for whole blocks: it says how calibration goes through them. Give it in recipe.quantizer.options.`,
        { option: `recipe.overrides.${pattern}.options.${fixed}` },
      );
  }
  const parsed = new Map<string, unknown>();
  return {
    common,
    of({ name, source = name }) {
      const matching = changes.filter(([pattern]) => matchesPattern(name, pattern) || matchesPattern(source, pattern));
      if (matching.length === 0) return common;
      const key = matching.map(([pattern]) => pattern).join('\n');
      if (!parsed.has(key)) {
        const merged = Object.assign({}, named.options, ...matching.map(([, { options }]) => options));
        parsed.set(key, parseOptions(quantizer.options, merged, 'recipe.overrides'));
      }
      return parsed.get(key);
    },
  };
}
