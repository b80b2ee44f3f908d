import type { CalibrationStudy } from './data.js';

/** Mean over seeds with the half width of its 95 % interval (Student's t). */
export interface SeedMean {
  readonly mean: number;
  /** 0 with one seed: then nothing is known of the spread. */
  readonly halfWidth: number;
  readonly seeds: number;
}

/** One row of the study: a method on a set. */
export interface StudyCell {
  readonly model: string;
  readonly method: string;
  readonly set: string;
  readonly samples: number;
  readonly text: string;
  readonly kl: SeedMean;
  /** Perplexity over the base's, minus 1. */
  readonly perplexityIncrease: SeedMean;
}

/** How much a method's loss depends on the calibration set. */
export interface Sensitivity {
  readonly model: string;
  readonly method: string;
  readonly text: string;
  readonly samples: number;
  readonly best: { readonly set: string; readonly kl: number };
  readonly worst: { readonly set: string; readonly kl: number };
  /** Standard deviation of the sets' means over their mean. */
  readonly overSets: number;
  /** The same of the seeds within a set (pooled), 0 with one seed: what of `overSets` is chance. */
  readonly overSeeds: number;
  /** `overSets` of each seed alone: its mean and interval over seeds. */
  readonly perSeed: SeedMean;
}

/** Two-sided 95 % points of Student's t for 1 to 10 degrees of freedom. */
const STUDENT = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

export function seedMean(values: readonly number[]): SeedMean {
  const mean = average(values);
  const freedom = values.length - 1;
  const halfWidth = freedom < 1 ? 0 : ((STUDENT[freedom - 1] ?? 1.96) * deviation(values)) / Math.sqrt(values.length);
  return { mean, halfWidth, seeds: values.length };
}

/** Means over seeds, in the order of the study. Methods without calibration are left out. */
export function studyCells({ runs }: CalibrationStudy): StudyCell[] {
  return [
    ...groupBy(runs, ({ model, method, set, samples, text }) => JSON.stringify([model, method, set, samples, text])).values(),
  ].flatMap((of) => {
    const { model, method, set, samples, text } = of[0];
    if (set === undefined || samples === undefined) return [];
    const kl = seedMean(of.map(({ meanKl }) => meanKl.value));
    const perplexityIncrease = seedMean(of.map(({ perplexity, basePerplexity }) => perplexity / basePerplexity - 1));
    return [{ model, method, set, samples, text, kl, perplexityIncrease }];
  });
}

/** Per model, method and text with several calibration sets, at their largest size. */
export function sensitivities(study: CalibrationStudy): Sensitivity[] {
  const samples = Math.max(...study.samples);
  const runs = study.runs.filter((run) => run.set !== undefined && run.samples === samples);
  return [...groupBy(runs, ({ model, method, text }) => JSON.stringify([model, method, text])).values()].flatMap((of) => {
    const { model, method, text } = of[0];
    const sets = [...groupBy(of, ({ set }) => set as string)].map(([set, runsOfSet]) => {
      const values = runsOfSet.map(({ meanKl }) => meanKl.value);
      return { set, kl: average(values), variance: values.length > 1 ? deviation(values) ** 2 : 0 };
    });
    if (sets.length < 2) return [];
    const sorted = [...sets].sort((a, b) => a.kl - b.kl);
    const mean = average(sets.map(({ kl }) => kl));
    return [
      {
        model,
        method,
        text,
        samples,
        best: { set: sorted[0].set, kl: sorted[0].kl },
        worst: { set: sorted.at(-1)?.set as string, kl: sorted.at(-1)?.kl as number },
        overSets: relativeDeviation(sets.map(({ kl }) => kl)),
        overSeeds: mean > 0 ? Math.sqrt(average(sets.map(({ variance }) => variance))) / mean : 0,
        perSeed: seedMean(
          [...groupBy(of, ({ seed }) => String(seed)).values()].map((ofSeed) =>
            relativeDeviation(ofSeed.map(({ meanKl }) => meanKl.value)),
          ),
        ),
      },
    ];
  });
}

/** What the study says, in sentences with its figures. */
export function studyFindings(study: CalibrationStudy): string[] {
  const all = sensitivities(study);
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const perMethod = all.map(
    ({ model, method, text, best, worst, overSets, overSeeds }) =>
      `${method} on ${model} (${text}): the mean KL divergence is ${best.kl.toPrecision(3)} with ${best.set} and ${worst.kl.toPrecision(3)} with ${worst.set}, ${(worst.kl - best.kl).toPrecision(2)} nats more; it varies by ${percent(overSets)} over sets${study.seeds.length > 1 ? ` and by ${percent(overSeeds)} over seeds` : ''}.`,
  );
  const order = [...groupBy(all, ({ method, text }) => JSON.stringify([method, text])).values()].flatMap((of) => {
    if (of.length < 2) return [];
    const [most, ...rest] = [...of].sort((a, b) => b.perSeed.mean - a.perSeed.mean);
    const amount = ({ mean, halfWidth }: SeedMean) =>
      halfWidth > 0 ? `${(100 * mean).toFixed(1)} ± ${percent(halfWidth)}` : percent(mean);
    const others = rest.map(({ model, perSeed }) => `that of ${model} by ${amount(perSeed)}`).join(', ');
    return [
      `With ${most.method} on ${most.text}, the loss of ${most.model} varies by ${amount(most.perSeed)} over calibration sets, ${others}: ${verdict(most.perSeed, rest[0].perSeed)}.`,
    ];
  });
  return [...order, ...perMethod, ...sizeFindings(study)];
}

/** What more sequences of a set change. */
function sizeFindings(study: CalibrationStudy): string[] {
  const alike = groupBy(studyCells(study), ({ model, method, set, text }) => JSON.stringify([model, method, set, text]));
  return [...alike.values()].flatMap((of) => {
    if (of.length < 2) return [];
    const [fewest, ...others] = [...of].sort((a, b) => a.samples - b.samples);
    const { model, method, set, text } = fewest;
    const said = ({ kl, samples }: StudyCell) => `${kl.mean.toPrecision(3)} with ${samples}`;
    return [
      `${method} on ${model} (${text}), sequences of ${set}: the mean KL divergence is ${said(fewest)}, ${others.map(said).join(', ')}.`,
    ];
  });
}

/** Whether the larger of two sensitivities is so beyond chance: their intervals as independent. */
function verdict(more: SeedMean, less: SeedMean): string {
  if (more.seeds < 2) return 'with one seed it is not known whether that is more than chance';
  const within = more.mean - less.mean <= Math.hypot(more.halfWidth, less.halfWidth);
  return within ? 'the difference is within the spread of the seeds' : 'more than the seeds explain';
}

/** Standard deviation over the mean; 0 for one value. */
function relativeDeviation(values: readonly number[]): number {
  const mean = average(values);
  return values.length > 1 && mean > 0 ? deviation(values) / mean : 0;
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Sample standard deviation. */
function deviation(values: readonly number[]): number {
  const mean = average(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
}
