import { CalibrantError } from '@calibrant/core';
import type { Json } from './model-config.js';

export interface RopeScaling {
  readonly type: string;
  /** Absent for `longrope`, whose factors are lists. */
  readonly factor: number | undefined;
  readonly originalContext: number | undefined;
  readonly lowFreqFactor?: number | undefined;
  readonly highFreqFactor?: number | undefined;
  /** `longrope`: one factor per rotated pair, for texts within and beyond the original context. */
  readonly shortFactors?: readonly number[];
  readonly longFactors?: readonly number[];
  /** `longrope`: by what cosines and sines are multiplied. `yarn`: the same, where it is not `0.1 · ln(factor) + 1`. */
  readonly attentionFactor?: number;
}

/** What llama.cpp takes for granted of YaRN: the turns within the original context that bound the passage, which ends at whole dimensions. */
const YARN: readonly (readonly [string, unknown])[] = [
  ['beta_fast', 32],
  ['beta_slow', 1],
  ['truncate', true],
];

const RUNNABLE = ['linear', 'llama3', 'yarn', 'longrope'];

/** @throws CalibrantError `UNSUPPORTED` for a scaling that llama.cpp has no word for. */
export function readRopeScaling(found: Json, config: Json, model: string): RopeScaling | undefined {
  const named = found['rope_type'] ?? found['type'];
  // Dynamic scaling begins behind the trained length.
  if (named === undefined || named === 'default' || named === 'dynamic') return undefined;
  // Phi-3's first names of LongRoPE.
  const type = Array.isArray(found['short_factor']) ? 'longrope' : named;
  const optional = (key: string) => (typeof found[key] === 'number' ? found[key] : undefined);
  const factor = optional('factor');
  if (typeof type !== 'string' || !RUNNABLE.includes(type) || (factor === undefined && type !== 'longrope'))
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: the rope scaling ${JSON.stringify(found)} cannot be written to GGUF. Supported: ${RUNNABLE.join(', ')}, each with a factor or lists of factors.`,
    );
  const atTop = config['original_max_position_embeddings'];
  const originalContext = typeof atTop === 'number' ? atTop : optional('original_max_position_embeddings');
  const plain = { type, factor, originalContext, lowFreqFactor: optional('low_freq_factor'), highFreqFactor: optional('high_freq_factor') };
  if (type === 'longrope') return { ...plain, ...longRope(found, config, originalContext, optional('attention_factor'), model) };
  return type === 'yarn' ? { ...plain, ...yarn(found, factor ?? 1, model) } : plain;
}

/** YaRN (arXiv 2309.00071). Cosines and sines are multiplied by `attention_factor`, or by the quotient of two temperatures (DeepSeek). */
function yarn(found: Json, factor: number, model: string): Pick<RopeScaling, 'attentionFactor'> {
  for (const [key, usual] of YARN)
    if ((found[key] ?? usual) !== usual)
      throw new CalibrantError(
        'UNSUPPORTED',
        `${model}: "${key}" of the rope scaling in config.json is ${JSON.stringify(found[key])}, but llama.cpp computes YaRN with ${usual}.`,
        { option: 'rope_scaling' },
      );
  const number = (key: string) => (typeof found[key] === 'number' ? (found[key] as number) : undefined);
  const [mscale, all] = [number('mscale'), number('mscale_all_dim')];
  const quotient = mscale && all ? temperature(factor, mscale) / temperature(factor, all) : undefined;
  const attentionFactor = number('attention_factor') ?? quotient;
  return attentionFactor === undefined ? {} : { attentionFactor };
}

/** `0.1 · weight · ln(factor) + 1`, equation 22. */
export function temperature(factor: number, weight = 1): number {
  return factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
}

/** LongRoPE (arXiv 2402.13753): the attention factor is √(1 + ln(extension) / ln(original context)). */
function longRope(found: Json, config: Json, originalContext: number | undefined, attentionFactor: number | undefined, model: string) {
  const [short, long] = [found['short_factor'], found['long_factor']];
  const context = config['max_position_embeddings'];
  if (!isNumbers(short) || !isNumbers(long) || short.length !== long.length || originalContext === undefined || typeof context !== 'number')
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: LongRoPE needs "short_factor" and "long_factor" of one length, "max_position_embeddings" and "original_max_position_embeddings" in config.json.`,
    );
  const extension = context / originalContext;
  const computed = extension > 1 ? Math.sqrt(1 + Math.log(extension) / Math.log(originalContext)) : 1;
  return { shortFactors: short, longFactors: long, attentionFactor: attentionFactor ?? computed };
}

function isNumbers(list: unknown): list is number[] {
  return Array.isArray(list) && list.length > 0 && list.every((element) => typeof element === 'number');
}
