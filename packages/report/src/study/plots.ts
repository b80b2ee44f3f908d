import * as Plot from '@observablehq/plot';
import { type Drawing, draw } from '../plots/draw.js';
import type { CalibrationStudy } from './data.js';
import { type StudyCell, studyCells } from './figures.js';

/** Mean KL divergence of each calibration set with its interval over seeds, a panel for each method; one drawing for each model and text. */
export function setPlots(study: CalibrationStudy): Drawing[] {
  const samples = Math.max(...study.samples);
  const cells = studyCells(study).filter((cell) => cell.samples === samples);
  return study.models.flatMap((model) =>
    study.texts.flatMap((text) => {
      const shown = cells.filter((cell) => cell.model === model && cell.text === text).map(withInterval);
      return shown.length === 0 ? [] : [setPlot(study, model, text, shown)];
    }),
  );
}

type Shown = StudyCell & { readonly value: number; readonly low: number; readonly high: number };

function withInterval(cell: StudyCell): Shown {
  const { mean, halfWidth } = cell.kl;
  return { ...cell, value: mean, low: Math.max(0, mean - halfWidth), high: mean + halfWidth };
}

function setPlot(study: CalibrationStudy, model: string, text: string, shown: readonly Shown[]): Drawing {
  const free = study.runs
    .filter((run) => run.set === undefined && run.model === model && run.text === text)
    .map(({ method, meanKl }) => ({ method, value: meanKl.value }));
  const methods = study.methods.filter((method) => shown.some((cell) => cell.method === method));
  const names = study.sets.map(({ name }) => name);
  return draw(
    {
      title: `${model}, measured on ${text}: loss by calibration set`,
      description: `${shown.map(({ method, set, value, kl }) => `${method} with ${set}: ${value.toPrecision(3)}${kl.halfWidth > 0 ? ` ± ${kl.halfWidth.toPrecision(2)}` : ''} nats`).join('. ')}.`,
    },
    {
      height: 60 + methods.length * (24 + 22 * names.length),
      marginLeft: 16 + 7 * Math.max(...names.map(({ length }) => length)),
      marginTop: 20,
      marginRight: 90,
      x: { label: 'mean KL divergence, nats →', grid: true, zero: true, nice: true },
      y: { label: null, domain: names },
      fy: { label: null, domain: methods },
      marks: [
        Plot.ruleX(
          free.flatMap(({ method, value }) => methods.map((panel) => ({ panel, method, value }))),
          {
            x: 'value',
            fy: 'panel',
            stroke: 'currentColor',
            strokeDasharray: '4 4',
            title: (d: { method: string; value: number }) => `${d.method}, no calibration: ${d.value.toPrecision(3)}`,
          },
        ),
        Plot.ruleY(shown, { y: 'set', fy: 'method', x1: 'low', x2: 'high', stroke: 'var(--accent)', strokeWidth: 2 }),
        Plot.dot(shown, {
          y: 'set',
          fy: 'method',
          x: 'value',
          r: 5,
          fill: 'var(--accent)',
          stroke: 'var(--page)',
          title: (d: Shown) => `${d.set}: ${d.value.toPrecision(4)}`,
        }),
      ],
    },
  );
}

/** Loss against the size of the calibration set, a line for each set; only where several sizes were tried. */
export function samplePlots(study: CalibrationStudy): Drawing[] {
  if (study.samples.length < 2) return [];
  const cells = studyCells(study).map(withInterval);
  return study.models.flatMap((model) =>
    study.methods.flatMap((method) =>
      study.texts.flatMap((text) => {
        const shown = cells.filter((cell) => cell.model === model && cell.method === method && cell.text === text);
        return shown.length === 0 ? [] : [samplePlot(model, method, text, shown)];
      }),
    ),
  );
}

function samplePlot(model: string, method: string, text: string, shown: readonly Shown[]): Drawing {
  const names = [...new Set(shown.map(({ set }) => set))];
  const perSet = names.map((name, i) => ({
    cells: shown.filter(({ set }) => set === name),
    // Intervals at one size stand beside each other.
    dx: APART * (i - (names.length - 1) / 2),
  }));
  return draw(
    {
      title: `${method} on ${model}, measured on ${text}: loss by calibration samples`,
      description: `${shown.map(({ set, samples, value }) => `${set}, ${samples} samples: ${value.toPrecision(3)} nats`).join('. ')}.`,
    },
    {
      height: HEIGHT,
      marginTop: MARGIN,
      marginBottom: 2 * MARGIN,
      marginRight: 30 + 7 * Math.max(...names.map(({ length }) => length)),
      x: {
        type: 'log',
        base: 2,
        label: 'sequences (log scale) →',
        tickFormat: String,
        ticks: [...new Set(shown.map(({ samples }) => samples))],
      },
      y: { label: '↑ mean KL divergence, nats', grid: true },
      color: { domain: names, scheme: 'Tableau10' },
      marks: [
        ...perSet.flatMap(({ cells, dx }) => [
          Plot.line(cells, { x: 'samples', y: 'value', stroke: 'set', strokeWidth: 2, dx } as Plot.LineOptions),
          Plot.ruleX(cells, { x: 'samples', y1: 'low', y2: 'high', stroke: 'set', dx } as Plot.RuleXOptions),
          Plot.dot(cells, { x: 'samples', y: 'value', fill: 'set', r: 4, dx } as Plot.DotOptions),
        ]),
        ...endLabels(shown).map(({ cell, dy }) =>
          Plot.text([cell], {
            x: 'samples',
            y: 'value',
            text: 'set',
            textAnchor: 'start',
            dx: 14,
            dy,
            fill: 'currentColor',
          } as Plot.TextOptions),
        ),
      ],
    },
  );
}

/** Pixels between sets at one size. */
const APART = 5;
const HEIGHT = 300;
const MARGIN = 20;
/** Pixels from one label to the next. */
const LINE = 14;

/** The names of sets at the ends of their lines, moved down as far as they would cover each other. */
function endLabels(shown: readonly Shown[]): { readonly cell: Shown; readonly dy: number }[] {
  const largest = Math.max(...shown.map(({ samples }) => samples));
  const [low, high] = [Math.min(...shown.map((cell) => cell.low)), Math.max(...shown.map((cell) => cell.high))];
  const pixelOf = ({ value }: Shown) => ((high - value) / (high - low || 1)) * (HEIGHT - 3 * MARGIN);
  let free = Number.NEGATIVE_INFINITY;
  return shown
    .filter(({ samples }) => samples === largest)
    .sort((a, b) => b.value - a.value)
    .map((cell) => {
      const at = Math.max(free, pixelOf(cell));
      free = at + LINE;
      return { cell, dy: at - pixelOf(cell) };
    });
}
