import type { ReportData } from '../data.js';

/** One thing that the figures say, and what to try about it. */
export interface Advice {
  /** What limits quality (or size), in plain words. */
  readonly finding: string;
  /** The measured figures that say so. */
  readonly evidence: string;
  readonly next?: {
    /** What to do, as a person would say it. */
    readonly change: string;
    /** The options of `calibrant quantize` that do it. */
    readonly options: string;
    /** What is expected of it: an expectation from the literature or from the figures, never a result. */
    readonly expectation: string;
  };
  /** How much it matters, 0 to 1; the most important comes first. */
  readonly weight: number;
}

/** One rule: what it finds in a report, or nothing. */
export type Rule = (data: ReportData) => Advice | undefined;

/** Mean KL divergence (nats) below which a model is hard to tell from its base; rules of thumb of this project, named as such in reports. */
export const HARDLY = 0.01;
export const NOTICEABLE = 0.05;
export const LARGE = 0.2;

/** The recipe's quantizer, scheme and transforms as far as a report knows them; `blocks` when the scheme is of GGUF's block types. */
export function recipeNames({ recipe }: ReportData): {
  quantizer?: string;
  scheme?: string;
  transforms: string[];
  bits?: number;
  blocks: boolean;
} {
  const { quantizer, scheme, transforms } = (recipe ?? {}) as Record<string, unknown>;
  const schemeName = nameOf(scheme);
  const bits = /^(?:int|fp)(\d)/i.exec(schemeName ?? '')?.[1] ?? /^I?Q(\d)/i.exec(schemeName ?? '')?.[1];
  const quantizerName = nameOf(quantizer);
  return {
    ...(quantizerName ? { quantizer: quantizerName } : {}),
    ...(schemeName ? { scheme: schemeName } : {}),
    ...(bits ? { bits: Number(bits) } : {}),
    blocks: /^I?Q\d/i.test(schemeName ?? ''),
    transforms: Array.isArray(transforms) ? transforms.flatMap((transform) => nameOf(transform) ?? []) : [],
  };
}

function nameOf(plugin: unknown): string | undefined {
  if (typeof plugin === 'string') return plugin;
  const name = (plugin as { name?: unknown } | undefined)?.name;
  return typeof name === 'string' ? name : undefined;
}
