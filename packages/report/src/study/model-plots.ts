import * as Plot from '@observablehq/plot';
import { type Drawing, draw } from '../plots/draw.js';
import type { CalibrationStudy } from './data.js';
import { type Sensitivity, sensitivities, studyCells } from './figures.js';

/** Colours of the models in their order. */
const COLOURS = ['var(--accent)', 'var(--warm)', 'currentColor', 'var(--muted)'];

/** Pixels between models in one row. */
const APART = 10;

/** Loss by calibration set as a multiple of the method's mean over sets, all models in one drawing for each text; only where there are several models. */
export function relativePlots(study: CalibrationStudy): Drawing[] {
  const samples = Math.max(...study.samples);
  const all = studyCells(study).filter((cell) => cell.samples === samples);
  if (study.models.length < 2) return [];
  return study.texts.flatMap((text) => {
    const shown = all
      .filter((cell) => cell.text === text)
      .map(({ model, method, set, kl }) => {
        const same = all.filter((cell) => cell.text === text && cell.model === model && cell.method === method);
        const mean = same.reduce((sum, cell) => sum + cell.kl.mean, 0) / same.length;
        const { halfWidth } = kl;
        return {
          model,
          method,
          set,
          value: kl.mean / mean,
          low: Math.max(0, kl.mean - halfWidth) / mean,
          high: (kl.mean + halfWidth) / mean,
        };
      });
    return shown.length === 0 ? [] : [relativePlot(study, text, shown)];
  });
}

interface Relative {
  readonly model: string;
  readonly method: string;
  readonly set: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

function relativePlot({ models, sets, ...study }: CalibrationStudy, text: string, shown: readonly Relative[]): Drawing {
  const methods = study.methods.filter((method) => shown.some((cell) => cell.method === method));
  const names = sets.map(({ name }) => name);
  return draw(
    {
      title: `Measured on ${text}: loss by calibration set, as a multiple of the mean over sets`,
      description: `${shown.map(({ model, method, set, value }) => `${method} on ${model} with ${set}: ${value.toFixed(3)}`).join('. ')}.`,
    },
    {
      height: 70 + methods.length * (24 + (14 + APART * models.length) * names.length),
      marginLeft: 16 + 7 * Math.max(...names.map(({ length }) => length)),
      marginTop: 40,
      marginRight: 110,
      x: { label: 'mean KL divergence over its mean of all sets →', grid: true, nice: true },
      y: { label: null, domain: names },
      fy: { label: null, domain: methods },
      marks: [
        Plot.ruleX([1], { stroke: 'currentColor', strokeOpacity: 0.5 }),
        ...models.flatMap((model, i) => {
          const of = shown.filter((cell) => cell.model === model);
          const dy = APART * (i - (models.length - 1) / 2);
          const at = { y: 'set', fy: 'method', dy };
          return [
            Plot.ruleY(of, { ...at, x1: 'low', x2: 'high', stroke: COLOURS[i % COLOURS.length], strokeWidth: 2 } as Plot.RuleYOptions),
            Plot.dot(of, { ...at, x: 'value', r: 4, fill: COLOURS[i % COLOURS.length] } as Plot.DotOptions),
            legend(model, i, methods[0]),
          ];
        }),
      ],
    },
  );
}

/** How much the loss depends on the calibration set: standard deviation over sets, with its interval over seeds; one drawing for each text. */
export function sensitivityPlots(study: CalibrationStudy): Drawing[] {
  const all = sensitivities(study);
  if (study.models.length < 2) return [];
  return study.texts.flatMap((text) => {
    const shown = all.filter((each) => each.text === text).map(withEnds);
    return shown.length === 0 ? [] : [sensitivityPlot(study, text, shown)];
  });
}

type Ends = Sensitivity & { readonly value: number; readonly low: number; readonly high: number };

function withEnds(of: Sensitivity): Ends {
  const { mean, halfWidth } = of.perSeed;
  return { ...of, value: 100 * mean, low: 100 * Math.max(0, mean - halfWidth), high: 100 * (mean + halfWidth) };
}

function sensitivityPlot({ models, methods }: CalibrationStudy, text: string, shown: readonly Ends[]): Drawing {
  const rows = methods.filter((method) => shown.some((each) => each.method === method));
  return draw(
    {
      title: `Measured on ${text}: how much the loss varies over calibration sets`,
      description: `${shown.map(({ model, method, value, high }) => `${method} on ${model}: ${value.toFixed(1)} ± ${(high - value).toFixed(1)} %`).join('. ')}.`,
    },
    {
      height: 70 + rows.length * (16 + APART * models.length),
      marginLeft: 16 + 7 * Math.max(...rows.map(({ length }) => length)),
      marginTop: 40,
      x: { label: 'standard deviation over sets, % of the mean KL divergence →', grid: true, zero: true, nice: true },
      y: { label: null, domain: rows },
      marks: models.flatMap((model, i) => {
        const of = shown.filter((each) => each.model === model);
        const dy = APART * (i - (models.length - 1) / 2);
        return [
          Plot.ruleY(of, {
            y: 'method',
            dy,
            x1: 'low',
            x2: 'high',
            stroke: COLOURS[i % COLOURS.length],
            strokeWidth: 2,
          } as Plot.RuleYOptions),
          Plot.dot(of, { y: 'method', dy, x: 'value', r: 5, fill: COLOURS[i % COLOURS.length] } as Plot.DotOptions),
          legend(model, i),
        ];
      }),
    },
  );
}

/** The model's name in its colour above the drawing, over the first panel. */
function legend(model: string, index: number, panel?: string): Plot.Text {
  return Plot.text([model], {
    text: () => `● ${model}`,
    frameAnchor: 'top-left',
    textAnchor: 'start',
    dx: 240 * index,
    dy: -20,
    fill: COLOURS[index % COLOURS.length],
    fontWeight: 600,
    ...(panel === undefined ? {} : { fy: () => panel }),
  });
}
