import type { ReportData } from '../data.js';
import { type Advice, HARDLY, NOTICEABLE, recipeNames } from './advice.js';

/** Round-to-nearest at few bits: a calibrated method keeps more at the same size. */
export function withoutCalibration(data: ReportData): Advice | undefined {
  const { quantizer, bits, scheme, transforms } = recipeNames(data);
  const kl = data.quality?.divergence?.mean.value;
  if (quantizer !== 'rtn' || transforms.length > 0 || bits === undefined || bits > 4 || kl === undefined || kl < HARDLY) return undefined;
  return {
    finding: `Rounding to nearest at ${bits} bits ignores what the layers see.`,
    evidence: `quantizer rtn, mean KL divergence ${kl.toPrecision(3)} nats`,
    next: {
      change: 'Calibrate: GPTQ compensates the error of each column, AWQ scales the channels that matter.',
      options: `--method gptq --scheme ${scheme} --calibration FILE`,
      expectation: 'the GPTQ and AWQ papers report a fraction of the loss of round-to-nearest at 3 and 4 bits',
    },
    weight: kl > NOTICEABLE ? 0.9 : 0.6,
  };
}

/** The number of calibration sequences below which methods become noisy (GPTQ and AWQ use 128). */
const USUAL_SEQUENCES = 128;

export function fewSamples({ calibration }: ReportData): Advice | undefined {
  if (!calibration || calibration.sequences >= USUAL_SEQUENCES) return undefined;
  return {
    finding: 'The calibration set is small, so what was learned from it is noisy.',
    evidence: `${calibration.sequences} sequences, ${calibration.tokens} tokens; ${USUAL_SEQUENCES} or more are usual`,
    next: {
      change: 'Calibrate on more text, of the kind that the model will serve.',
      options: '--samples 256',
      expectation: 'a smaller loss on other text; how much, `calibrant study calibration` measures',
    },
    weight: 0.5,
  };
}

/** Channels this many times the median are outliers that a shared scale cannot serve. */
const OUTLIER_RATIO = 20;

export function outlierChannels(data: ReportData): Advice | undefined {
  const { channels = [] } = data;
  if (channels.length === 0) return undefined;
  const ratios = channels.map(({ name, before, after }) => ({ name, ratio: ratioOf(after ?? before) }));
  const hit = ratios.filter(({ ratio }) => ratio > OUTLIER_RATIO).sort((a, b) => b.ratio - a.ratio);
  if (hit.length === 0) return undefined;
  const evidence = `${hit.length} of ${channels.length} layers; in ${hit[0].name} the largest channel is ${hit[0].ratio.toFixed(0)} times the median`;
  if (data.execution?.activations === undefined)
    return {
      finding:
        'Some input channels are far larger than the rest. Nothing is lost by them while activations are not quantized; before they are, SmoothQuant can move them into the weights.',
      evidence,
      weight: 0.25,
    };
  return {
    finding: 'Some input channels are far larger than the rest: a scale that holds them leaves few codes for all others.',
    evidence,
    ...(recipeNames(data).transforms.includes('smoothquant')
      ? {}
      : {
          next: {
            change: 'Move the difficulty from activations to weights before quantizing.',
            options: '--method smoothquant',
            expectation: 'the SmoothQuant paper reports W8A8 of models with outliers close to full precision',
          },
        }),
    weight: 0.85,
  };
}

function ratioOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted.at(-1) ?? 0) / (sorted[Math.floor(sorted.length / 2)] || Infinity);
}
