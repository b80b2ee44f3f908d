import type { FormatInput } from '@calibrant/core';
import { MIXTURES } from '../schemes/mixtures.js';

/** `NAME-Q4_K_M.gguf`, the way in which GGUF files are named; `model.gguf` for a recipe without a scheme. */
export function defaultFileName({ checkpoint, recipe }: FormatInput, { name }: { readonly name?: string | undefined }): string {
  const scheme = targetName(recipe) ?? schemeName(recipe);
  return scheme ? `${(name ?? withoutScheme(lastPart(checkpoint.name))).replace(/[^\w.-]+/g, '-')}-${scheme}.gguf` : 'model.gguf';
}

interface Recipe {
  readonly scheme?: { readonly name?: string };
  readonly target?: { readonly bytes?: number; readonly bitsPerWeight?: number };
}

/** The scheme that gave the tensors their types; undefined where they were chosen for a target size. */
export function schemeName(recipe: unknown): string | undefined {
  const { scheme, target } = (recipe ?? {}) as Recipe;
  return target ? undefined : scheme?.name;
}

/** `4.6bpw`, `4.2GB`. */
function targetName(recipe: unknown): string | undefined {
  const { bytes, bitsPerWeight } = ((recipe ?? {}) as Recipe).target ?? {};
  if (bitsPerWeight !== undefined) return `${Number(bitsPerWeight.toFixed(2))}bpw`;
  if (bytes === undefined) return undefined;
  const [unit, letter] = bytes >= 1e9 ? [1e9, 'GB'] : [1e6, 'MB'];
  return `${Number((bytes / unit).toFixed(2))}${letter}`;
}

/** `name` of a path, of a URL, of `org/name@revision`, or of any part of a split model. */
export function lastPart(source: string): string {
  const last =
    source
      .replace(/^(https?:[^?#]*).*$/s, '$1')
      .split(/[/\\]/)
      .filter(Boolean)
      .at(-1) ?? source;
  return last.replace(/@.*$/, '').replace(/(-\d{5}-of-\d{5})?\.gguf$/, '');
}

const SCHEMES = [...MIXTURES.map(({ name }) => name), 'Q3_K', 'Q4_K', 'Q5_K', 'MXFP4', 'NVFP4', 'F16', 'BF16', 'F32'];

/** The name of a model without the type that its file's name ends in. */
function withoutScheme(name: string): string {
  const found = SCHEMES.find((scheme) => name.toUpperCase().endsWith(`-${scheme}`) || name.toUpperCase().endsWith(`.${scheme}`));
  return found && name.length > found.length + 1 ? name.slice(0, -found.length - 1) : name;
}
