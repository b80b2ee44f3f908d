import type { ReportData } from '../data.js';
import { percent } from '../plots/draw.js';
import { type Advice, HARDLY, LARGE, NOTICEABLE, recipeNames } from './advice.js';

/** Perplexity can stay while predictions change: then it hides what was lost. */
export function hiddenByPerplexity({ quality }: ReportData): Advice | undefined {
  const { perplexity, basePerplexity, divergence } = quality ?? {};
  if (!perplexity || !basePerplexity || !divergence || divergence.mean.value < NOTICEABLE) return undefined;
  const change = perplexity.value / basePerplexity.value - 1;
  if (change > divergence.mean.value / 4) return undefined;
  return {
    finding: 'Perplexity hides the loss: it hardly moved, but the predictions did.',
    evidence: `perplexity ${change >= 0 ? '+' : '−'}${percent(Math.abs(change))}, mean KL divergence ${divergence.mean.value.toPrecision(3)} nats, other top token at ${percent(1 - divergence.sameTop.value)} of positions`,
    weight: 0.7,
  };
}

export function lessSure({ quality }: ReportData): Advice | undefined {
  const { quantized, base } = quality?.calibration ?? {};
  if (!quantized || !base || quantized.ece - base.ece < 0.01) return undefined;
  return {
    finding: 'The quantized model’s confidence fits its accuracy less well than before.',
    evidence: `expected calibration error ${base.ece.toFixed(4)} → ${quantized.ece.toFixed(4)}`,
    next: {
      change: 'Where probabilities are used (thresholds, ranking), scale the temperature on held-out text of your own.',
      options: '',
      expectation: 'a single temperature removes most of a uniform over- or underconfidence',
    },
    weight: 0.45,
  };
}

/** A tail of tokens that diverge strongly while most do not. */
export function heavyTail({ quality }: ReportData): Advice | undefined {
  const { divergence } = quality ?? {};
  if (!divergence || divergence.mean.value < HARDLY || divergence.p99 < 10 * divergence.mean.value) return undefined;
  return {
    finding: 'The loss sits in few tokens: most predictions are as before, a hundredth changed strongly.',
    evidence: `median ${divergence.median.toPrecision(3)}, mean ${divergence.mean.value.toPrecision(3)}, 99 % below ${divergence.p99.toPrecision(3)}, largest ${divergence.max.toPrecision(3)} nats`,
    next: {
      change: 'Test on your own task: rare tokens (names, numbers, code) are where such losses show.',
      options: '',
      expectation: 'none; it tells whether these tokens matter to you',
    },
    weight: 0.35,
  };
}

/** Little lost at many bits: there is room to go smaller. */
export function roomToShrink({ quality, size }: ReportData): Advice | undefined {
  const kl = quality?.divergence?.mean.value;
  if (kl === undefined || kl >= HARDLY / 2 || size.bitsPerWeight < 5.5) return undefined;
  return {
    finding: 'Almost nothing was lost: there is room for a smaller file.',
    evidence: `mean KL divergence ${kl.toPrecision(2)} nats at ${size.bitsPerWeight.toFixed(2)} bits per weight`,
    next: {
      change: 'Try a smaller scheme, or let the types be chosen for a target size.',
      options: '--target-bpw 4.8',
      expectation: 'about 4.5 to 5 bits per weight is where many models start to lose measurably',
    },
    weight: 0.3,
  };
}

export function muchLost(data: ReportData): Advice | undefined {
  const { quality, size } = data;
  const kl = quality?.divergence?.mean.value;
  if (kl === undefined || kl < LARGE) return undefined;
  return {
    finding: 'Much was lost: this model predicts differently from its base.',
    evidence: `mean KL divergence ${kl.toPrecision(3)} nats at ${size.bitsPerWeight.toFixed(2)} bits per weight`,
    ...remedy(data),
    weight: 0.95,
  };
}

/** The next finer grid of each width of GGUF types. */
const FINER_BLOCKS: Readonly<Record<number, string>> = { 1: 'Q2_K', 2: 'Q3_K_M', 3: 'Q4_K_M', 4: 'Q5_K_M', 5: 'Q6_K' };

/** With 8-bit weights it is not the weights: then activations are to blame where they are rounded. */
function remedy(data: ReportData): Pick<Advice, 'next'> {
  const { bits, blocks } = recipeNames(data);
  if (bits !== undefined && bits > 5) {
    if (data.execution?.activations === undefined) return {};
    return {
      next: {
        change: 'Leave the activations in floating point, or the inputs of the layers that lose most: weights of 8 bits alone lose little.',
        options: "--activations none, or --keep-activations '*.down_proj.weight'",
        expectation: 'the loss falls to that of the weights; `calibrant eval --activations none` measures it without quantizing again',
      },
    };
  }
  return {
    next: {
      change: 'Use more bits or smaller groups; below 3 bits only training recovers what calibration cannot.',
      options: blocks ? `--scheme ${FINER_BLOCKS[bits ?? 4]}` : `--bits ${(bits ?? 3) + 1} --group-size 64`,
      expectation: 'each further bit cuts the squared rounding error about four-fold',
    },
  };
}
