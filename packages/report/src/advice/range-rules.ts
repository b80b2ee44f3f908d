import type { RangeMark, ReportData, ValueRanges } from '../data.js';
import { percent } from '../plots/draw.js';
import { type Advice, recipeNames } from './advice.js';

/** Share of an input's energy that must become noise before its range is worth a word. */
const WORTH_A_WORD = 0.001;

/** Inputs with a static range of the model's own: whether values are cut off, or steps are too wide. */
export function clippingOrRounding(data: ReportData): Advice | undefined {
  const own = (data.ranges ?? []).filter(({ marks }) => marks[0]?.calibrator === 'this model');
  const worst = [...own].sort((a, b) => loss(b.marks[0]) - loss(a.marks[0]))[0];
  if (!worst || loss(worst.marks[0]) < WORTH_A_WORD) return undefined;
  const [mark, ...others] = worst.marks;
  const evidence = `input of ${worst.name}: ${percent(mark.clipping)} of its energy is lost by clipping, ${percent(mark.rounding)} by rounding (${worst.grid ?? 'static grid'}, range ${mark.low.toPrecision(3)} to ${mark.high.toPrecision(3)})`;
  return { ...(mark.clipping > mark.rounding ? clipping(worst, mark, others) : rounding(data)), evidence, weight: 0.97 };
}

function clipping({ name }: ValueRanges, mark: RangeMark, others: readonly RangeMark[]): Omit<Advice, 'evidence' | 'weight'> {
  const finding = 'Clipping limits the activations: values beyond the range that calibration found are cut off.';
  const best = [...others].sort((a, b) => loss(a) - loss(b))[0];
  if (best && loss(best) < loss(mark) / 2)
    return {
      finding,
      next: {
        change: `Choose the ranges by ${best.calibrator}, on text like that which the model will serve.`,
        options: `--activation-calibrator ${best.calibrator}`,
        expectation: `on this text that range loses ${percent(loss(best))} of the energy at ${name} instead of ${percent(loss(mark))}; what the whole model gains must be measured`,
      },
    };
  // No range of any calibrator keeps this input, on the very text that is measured: more calibration cannot help.
  return {
    finding:
      'Clipping limits the activations, and no other range would serve: one scale cannot hold both the few large values and the many small ones.',
    next: {
      change: `Leave the inputs of such layers in floating point, or give each token its own scale.`,
      options: `--keep-activations '*${name.split('.').slice(-2).join('.')}'`,
      expectation: `at ${name} nothing is lost any more, where now it is ${percent(loss(mark))} of the energy (${best ? `${percent(loss(best))} with ${best.calibrator}, the best of the others` : 'no other range is known'}); what the whole model gains must be measured`,
    },
  };
}

function rounding(data: ReportData): Omit<Advice, 'evidence' | 'weight'> {
  const smoothed = recipeNames(data).transforms.includes('smoothquant');
  return {
    finding: 'Rounding limits the activations: one scale for all values makes its steps too wide for most of them.',
    next: {
      change: smoothed
        ? 'Give each token its own scale.'
        : 'Give each token its own scale, and move outlier channels from activations to weights first.',
      options: smoothed ? '--activations int8-token' : '--method smoothquant --activations int8-token',
      expectation:
        'a scale per token is set by that token alone, and the SmoothQuant paper reports W8A8 close to full precision; servers run such scales at a little more cost',
    },
  };
}

function loss({ clipping, rounding }: RangeMark): number {
  return clipping + rounding;
}
