import {
  covarianceOfMeans,
  type Estimate,
  estimate,
  type Histogram,
  histogram,
  meanAndError,
  moments,
  type Percentile,
  percentiles,
  quantile,
} from '../statistics.js';

/** What was recorded of each scored token of both models, in order. */
export interface PairedTokens {
  /** KL(base ‖ quantized), nats. */
  readonly kl: Float32Array;
  /** −ln p of the true token. */
  readonly baseNll: Float32Array;
  readonly quantizedNll: Float32Array;
  /** 1 where both find the same token most likely. */
  readonly same: Float32Array;
  /** The fraction of the base's most likely tokens that is among the quantized model's. */
  readonly overlap: Float32Array;
}

/** How far a model's predictions are from those of its full-precision self, over all scored positions: the figures of `llama-perplexity --kl-divergence`, and more. */
export interface DivergenceFigures {
  /** Mean of `KL(base ‖ quantized)`, nats per token. */
  readonly meanKl: number;
  readonly meanKlStandardError: number;
  readonly medianKl: number;
  /** 99 % of the tokens are below. */
  readonly kl99: number;
  readonly maxKl: number;
  readonly klPercentiles: readonly Percentile[];
  /** Four bins a decade from 1e-8 to 100 nats. */
  readonly klHistogram: Histogram;
  /** Fraction of positions at which both models find the same token most likely. */
  readonly sameTop: number;
  readonly sameTopStandardError: number;
  /** How many of the base's `count` most likely tokens are among the quantized model's, as a fraction. */
  readonly topOverlap: Estimate & { readonly count: number };
  /** Pearson correlation of both models' ln p of the true tokens. */
  readonly lnPerplexityCorrelation: number;
  /** ln(PPL(quantized) / PPL(base)). Its error, like those of ratio and difference, knows that both are measured on the same tokens. */
  readonly lnPerplexityRatio: Estimate;
  /** PPL(quantized) / PPL(base). */
  readonly perplexityRatio: Estimate;
  /** PPL(quantized) − PPL(base). */
  readonly perplexityDifference: Estimate;
  /** Δp: p(quantized) − p(base) of the true token, −1 to 1. */
  readonly probabilityChange: {
    readonly mean: Estimate;
    /** √ of the mean square. */
    readonly rms: Estimate;
    readonly percentiles: readonly Percentile[];
    /** 80 bins from −1 to 1. */
    readonly histogram: Histogram;
  };
}

const KL_EDGES = Array.from({ length: 41 }, (_, i) => 10 ** (i / 4 - 8));
const CHANGE_EDGES = Array.from({ length: 81 }, (_, i) => (i - 40) / 40);

export function divergenceFigures({ kl, baseNll, quantizedNll, same, overlap }: PairedTokens, overlapCount: number): DivergenceFigures {
  const { mean: meanKl, standardError } = meanAndError(kl);
  const agreement = meanAndError(same);
  const sorted = kl.slice().sort();
  const change = Float64Array.from(quantizedNll, (nll, i) => Math.exp(-nll) - Math.exp(-baseNll[i]));
  const squares = estimate(change.map((value) => value ** 2));
  const rms = Math.sqrt(squares.value);
  return {
    meanKl,
    meanKlStandardError: standardError,
    medianKl: quantile(sorted, 0.5),
    kl99: quantile(sorted, 0.99),
    maxKl: sorted[sorted.length - 1],
    klPercentiles: percentiles(sorted),
    klHistogram: histogram(kl, KL_EDGES),
    sameTop: agreement.mean,
    sameTopStandardError: agreement.standardError,
    topOverlap: { count: overlapCount, ...estimate(overlap) },
    ...perplexityChange(baseNll, quantizedNll),
    probabilityChange: {
      mean: estimate(change),
      // d√m = dm / 2√m
      rms: { value: rms, standardError: rms > 0 ? squares.standardError / 2 / rms : 0 },
      percentiles: percentiles(change.slice().sort()),
      histogram: histogram(change, CHANGE_EDGES),
    },
  };
}

/** Errors propagated with the covariance of both means. */
function perplexityChange(
  baseNll: Float32Array,
  quantizedNll: Float32Array,
): Pick<DivergenceFigures, 'lnPerplexityCorrelation' | 'lnPerplexityRatio' | 'perplexityRatio' | 'perplexityDifference'> {
  const [base, quantized] = [moments(baseNll), moments(quantizedNll)];
  const covariance = covarianceOfMeans(baseNll, quantizedNll);
  const deviation = (a: number, b: number) =>
    Math.sqrt(Math.max(0, a ** 2 * quantized.variance + b ** 2 * base.variance - 2 * a * b * covariance));
  const lnRatio = quantized.mean - base.mean;
  const lnError = deviation(1, 1);
  const [basePerplexity, perplexity] = [Math.exp(base.mean), Math.exp(quantized.mean)];
  const spread = Math.sqrt(base.variance * quantized.variance);
  return {
    lnPerplexityCorrelation: spread > 0 ? covariance / spread : 1,
    lnPerplexityRatio: { value: lnRatio, standardError: lnError },
    perplexityRatio: { value: Math.exp(lnRatio), standardError: Math.exp(lnRatio) * lnError },
    perplexityDifference: { value: perplexity - basePerplexity, standardError: deviation(perplexity, basePerplexity) },
  };
}
