import { moments } from '../statistics.js';

/** Neighbouring windows of the text, for a curve along it. */
export interface TextPart {
  /** The first window. */
  readonly window: number;
  readonly windows: number;
  /** Over the part's scored tokens. */
  readonly perplexity: number;
}

/** How well a model predicts a text. */
export interface PerplexityFigures {
  /** `e^meanNll` */
  readonly perplexity: number;
  /** Nats per scored token. */
  readonly meanNll: number;
  /** Of the perplexity: perplexity times the standard error of meanNll. */
  readonly standardError: number;
  /** Tokens that the model was run on. */
  readonly tokens: number;
  readonly scoredTokens: number;
  readonly windows: number;
  /** `meanNll / ln 2 / bytesPerToken`; comparable between vocabularies. */
  readonly bitsPerByte?: number;
  /** Perplexity along the text, in at most 200 parts. */
  readonly parts: readonly TextPart[];
}

const MAX_PARTS = 200;

/** @param rows −ln p of the scored tokens of each window, in order */
export function perplexityFigures(rows: readonly Float32Array[], tokens: number, bytesPerToken?: number): PerplexityFigures {
  const all = join(rows);
  const { mean, variance } = moments(all);
  const perplexity = Math.exp(mean);
  return {
    perplexity,
    meanNll: mean,
    standardError: perplexity * Math.sqrt(variance),
    tokens,
    scoredTokens: all.length,
    windows: rows.length,
    ...(bytesPerToken === undefined ? {} : { bitsPerByte: mean / Math.LN2 / bytesPerToken }),
    parts: partsOf(rows),
  };
}

function partsOf(rows: readonly Float32Array[]): TextPart[] {
  const size = Math.ceil(rows.length / MAX_PARTS);
  const parts: TextPart[] = [];
  for (let window = 0; window < rows.length; window += size) {
    const group = rows.slice(window, window + size);
    parts.push({ window, windows: group.length, perplexity: Math.exp(moments(join(group)).mean) });
  }
  return parts;
}

export function join(rows: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  for (const row of rows) {
    joined.set(row, at);
    at += row.length;
  }
  return joined;
}
