import { CalibrantError, type RecipeInput } from '@calibrant/core';

/** What a method's name on the command line stands for where it is more than a quantizer. */
interface ComposedMethod {
  readonly transform: string;
  readonly quantizer: string;
  /** Unless the command line or the recipe name another. */
  readonly scheme: string;
  /** With that scheme, unless another is named: what servers load. */
  readonly format?: string;
  /** With that scheme, where the format has a place for it. */
  readonly activations?: string;
}

const COMPOSED: Readonly<Record<string, ComposedMethod>> = {
  awq: { transform: 'awq', quantizer: 'rtn', scheme: 'int4-g128-asym', format: 'awq' },
  smoothquant: { transform: 'smoothquant', quantizer: 'rtn', scheme: 'int8-channel-sym', activations: 'int8-token' },
};

export interface MethodOptions {
  readonly method?: string;
  readonly transform?: string[];
  readonly set?: string[];
}

type Named = { name: string; options: Record<string, unknown> };

/** The quantizer and transforms that the options ask for, over those of a recipe; and what usually goes with the method. */
export function methodOf(
  { method, transform, set = [] }: MethodOptions,
  base: RecipeInput,
): { readonly recipe: Pick<RecipeInput, 'quantizer' | 'transforms'>; readonly usual?: ComposedMethod } {
  const { composed, quantizer: last } = partsOf(method);
  const transforms: Named[] =
    composed.length > 0 || transform
      ? [...composed.map((part) => part.transform), ...(transform ?? [])].map((name) => ({
          name,
          options: optionsOf(base.transforms, name),
        }))
      : (base.transforms ?? []).map(named);
  const given = named(base.quantizer ?? 'rtn');
  const wanted = last ?? composed[0]?.quantizer ?? given.name;
  const quantizer = wanted === given.name ? given : named(wanted);
  const mainName = last ?? composed[0]?.transform ?? quantizer.name;
  for (const { plugin, option, value } of set.map(assignment)) {
    const target = [...transforms, quantizer].find(({ name }) => name.toLowerCase() === (plugin ?? mainName).toLowerCase());
    if (!target)
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `--set ${plugin}.${option}: the recipe has no "${plugin}". It has ${[...transforms, quantizer].map(({ name }) => name).join(', ')}.`,
        { option: '--set' },
      );
    target.options = { ...target.options, [option]: value };
  }
  return {
    recipe: {
      ...(transforms.length > 0 ? { transforms } : {}),
      ...(method !== undefined || set.length > 0 ? { quantizer } : {}),
    },
    ...(composed.length > 0 ? { usual: composed[0] } : {}),
  };
}

/** The parts of `awq`, `gptq` or `awq+gptq`: transforms, then at most one quantizer. */
function partsOf(method: string | undefined): { readonly composed: readonly ComposedMethod[]; readonly quantizer?: string | undefined } {
  const parts = method?.split('+').map((part) => part.trim()) ?? [];
  const known = (part: string) => COMPOSED[part.toLowerCase()];
  const composed = parts.flatMap((part) => known(part) ?? []);
  const quantizers = parts.filter((part) => !known(part));
  const [last] = parts.slice(-1);
  if (parts.includes('') || quantizers.length > 1 || (quantizers.length === 1 && quantizers[0] !== last))
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `--method ${method} is no method: name transforms, then at most one quantizer, such as awq+gptq or smoothquant+gptq.`,
      { option: '--method' },
    );
  return { composed, quantizer: quantizers[0] };
}

function named(plugin: string | { readonly name: string; readonly options?: Record<string, unknown> | undefined }): Named {
  return typeof plugin === 'string' ? { name: plugin, options: {} } : { name: plugin.name, options: { ...plugin.options } };
}

function optionsOf(transforms: RecipeInput['transforms'] = [], name: string): Record<string, unknown> {
  return transforms.map(named).find((transform) => transform.name === name)?.options ?? {};
}

/** `actOrder=full`, or with the plug-in that it is for `awq.ratios=10`. */
function assignment(text: string): { readonly plugin?: string; readonly option: string; readonly value: unknown } {
  const [name, value] = optionValue(text, '--set');
  const dot = name.indexOf('.');
  return dot < 0 ? { option: name, value } : { plugin: name.slice(0, dot), option: name.slice(dot + 1), value };
}

/** `a=1 b=true c=text` as an object. */
export function assignments(texts: readonly string[] = [], option: string): Record<string, unknown> {
  return Object.fromEntries(texts.map((text) => optionValue(text, option)));
}

function optionValue(text: string, option: string): [name: string, value: unknown] {
  const at = text.indexOf('=');
  if (at < 1) throw new CalibrantError('INVALID_ARGUMENT', `${option} takes option=value, found "${text}".`, { option });
  const value = text.slice(at + 1);
  return [text.slice(0, at), /^(true|false|null|-?\d+(\.\d+)?(e-?\d+)?)$/.test(value) ? JSON.parse(value) : value];
}
