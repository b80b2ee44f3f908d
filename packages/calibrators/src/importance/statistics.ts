import type { ImportanceMatrix } from '@calibrant/core';
import { importanceColumns } from './matrix.js';

/** What an importance matrix says of one weight, over its mean squares per channel. The figures of `llama-imatrix --show-statistics`. */
export interface ImportanceStatistics {
  readonly name: string;
  /** The block's number, absent outside blocks. */
  readonly block?: number;
  /** Channels, over all experts. */
  readonly channels: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** Standard deviation over the channels. */
  readonly deviation: number;
  /** Part of the channels above 1e-5. */
  readonly active: number;
  /** Shannon entropy of the channels' shares of the sum, in bits. */
  readonly entropy: number;
  /** Entropy over its largest possible value, 0 to 1. */
  readonly normalizedEntropy: number;
  /** Part of the channels more than one standard deviation above the mean (the "z-score distribution" of LLM-Streamline and others). */
  readonly zScoreDensity: number;
  /** Cosine between these channels and those of the same weight one block before; absent where there is none. */
  readonly similarity?: number;
}

const ACTIVE_ABOVE = 1e-5;

/** Figures for each weight, by block and then by name. Needs no model. */
export function importanceStatistics(matrix: ImportanceMatrix): ImportanceStatistics[] {
  const values = new Map([...matrix.entries].map(([name, entry]) => [name, means(entry)]));
  return [...values].map(([name, channels]) => describe(name, channels, values)).sort(byBlock);
}

function means(entry: { readonly sums: Float64Array; readonly counts: Float64Array }): Float64Array {
  const columns = importanceColumns(entry);
  return entry.sums.map((sum, i) => sum / Math.max(1, entry.counts[Math.floor(i / columns)]));
}

function describe(name: string, channels: Float64Array, all: ReadonlyMap<string, Float64Array>): ImportanceStatistics {
  const count = channels.length;
  const sum = channels.reduce((total, value) => total + value, 0);
  const mean = sum / count;
  const deviation = Math.sqrt(channels.reduce((total, value) => total + (value - mean) ** 2, 0) / count);
  const entropy = sum > 0 ? channels.reduce((total, value) => (value > 0 ? total - (value / sum) * Math.log2(value / sum) : total), 0) : 0;
  const block = blockOf(name);
  const before = block === undefined ? undefined : all.get(name.replace(/^(\D*)\d+/, `$1${block - 1}`));
  return {
    name,
    ...(block === undefined ? {} : { block }),
    channels: count,
    sum,
    min: channels.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY),
    max: channels.reduce((most, value) => Math.max(most, value), 0),
    mean,
    deviation,
    active: channels.filter((value) => value > ACTIVE_ABOVE).length / count,
    entropy,
    normalizedEntropy: count > 1 ? entropy / Math.log2(count) : 0,
    zScoreDensity: deviation > 0 ? channels.filter((value) => (value - mean) / deviation > 1).length / count : 0,
    ...(before && before.length === count ? { similarity: cosine(channels, before) } : {}),
  };
}

function blockOf(name: string): number | undefined {
  const match = /^\D*\.(\d+)\./.exec(name);
  return match ? Number(match[1]) : undefined;
}

function byBlock(a: ImportanceStatistics, b: ImportanceStatistics): number {
  return (a.block ?? Number.POSITIVE_INFINITY) - (b.block ?? Number.POSITIVE_INFINITY) || (a.name < b.name ? -1 : 1) || 0;
}

function cosine(a: Float64Array, b: Float64Array): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa > 0 && bb > 0 ? dot / Math.sqrt(aa * bb) : 0;
}
