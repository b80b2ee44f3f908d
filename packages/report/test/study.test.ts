import { type CalibrationStudy, renderStudy, type StudyRun, seedMean, sensitivities, studyFindings, studyRows } from '@calibrant/report';
import { describe, expect, it } from '@jest/globals';

const run = (model: string, set: string, seed: number, kl: number, samples = 64): StudyRun => ({
  model,
  method: 'gptq',
  set,
  samples,
  seed,
  text: 'held-out',
  meanKl: { value: kl, standardError: 0.001 },
  perplexity: 11,
  basePerplexity: 10,
});

const study: CalibrationStudy = {
  schema: 'calibrant-calibration-study/v1',
  models: ['old', 'modern'],
  methods: ['rtn', 'gptq'],
  sets: [
    { name: 'text', kind: 'text' },
    { name: 'nonsense', kind: 'nonsense' },
  ],
  texts: ['held-out'],
  scheme: 'int4-g128-asym',
  samples: [16, 64],
  length: 256,
  seeds: [0, 1],
  versions: {},
  runs: [
    { model: 'old', method: 'rtn', text: 'held-out', meanKl: { value: 0.3, standardError: 0.001 }, perplexity: 12, basePerplexity: 10 },
    run('old', 'text', 0, 0.1),
    run('old', 'text', 1, 0.12),
    run('old', 'nonsense', 0, 0.3),
    run('old', 'nonsense', 1, 0.28),
    run('old', 'text', 0, 9, 16),
    run('modern', 'text', 0, 0.05),
    run('modern', 'text', 1, 0.05),
    run('modern', 'nonsense', 0, 0.06),
    run('modern', 'nonsense', 1, 0.06),
  ],
};

describe('figures of a study', () => {
  it('the interval over seeds is Student’s: for 1, 2, 3 it is 2 ± 4.303 / √3', () => {
    const { mean, halfWidth } = seedMean([1, 2, 3]);
    expect(mean).toBe(2);
    expect(halfWidth).toBeCloseTo(4.303 / Math.sqrt(3), 6);
    expect(seedMean([5]).halfWidth).toBe(0);
  });

  it('sensitivity is the spread of the sets’ means over their mean, at the largest size', () => {
    const [old, modern] = sensitivities(study);
    // Means 0.11 and 0.29: deviation 0.1273 over 0.2.
    expect(old.overSets).toBeCloseTo(0.18 / Math.SQRT2 / 0.2, 6);
    expect(old.overSeeds).toBeCloseTo(Math.sqrt((0.0002 + 0.0002) / 2) / 0.2, 6);
    expect(old.best).toEqual({ set: 'text', kl: expect.closeTo(0.11) });
    expect(old.worst.set).toBe('nonsense');
    expect(modern.overSets).toBeCloseTo(0.01 / Math.SQRT2 / 0.055, 6);
    expect(modern.overSeeds).toBe(0);
    // Of each seed alone: 0.2 / √2 / 0.2 and 0.16 / √2 / 0.2.
    expect(old.perSeed.mean).toBeCloseTo((1 + 0.8) / 2 / Math.SQRT2, 6);
    expect(old.perSeed.halfWidth).toBeCloseTo((12.706 * (0.2 / Math.SQRT2 / Math.SQRT2)) / Math.SQRT2, 6);
  });

  it('says first which model is most sensitive', () => {
    expect(studyFindings(study)[0]).toMatch(
      /^With gptq on held-out, the loss of old varies by .* over calibration sets, that of modern by 12\.9 %: /,
    );
  });

  it('says what sizes change', () => {
    expect(studyFindings(study).at(-1)).toBe(
      'gptq on old (held-out), sequences of text: the mean KL divergence is 9.00 with 16, 0.110 with 64.',
    );
  });

  it('compares no sets where there is one', () => {
    const sizes = { ...study, sets: study.sets.slice(0, 1), runs: study.runs.filter(({ set }) => set !== 'nonsense') };
    expect(sensitivities(sizes)).toEqual([]);
    expect(studyFindings(sizes)).toEqual([expect.stringMatching(/sequences of text/)]);
    expect(renderStudy(sizes)).not.toContain('Sensitivity');
  });

  it('has a row for each method, set and size', () => {
    expect(studyRows(study).map((row) => row.slice(0, 6))).toEqual([
      ['old', 'rtn', '–', '–', 'held-out', '0.30000'],
      ['old', 'gptq', 'text', '64', 'held-out', expect.stringMatching(/^0\.11000 ± /)],
      ['old', 'gptq', 'nonsense', '64', 'held-out', expect.stringMatching(/^0\.29000 ± /)],
      ['old', 'gptq', 'text', '16', 'held-out', '9.00000'],
      ['modern', 'gptq', 'text', '64', 'held-out', '0.05000'],
      ['modern', 'gptq', 'nonsense', '64', 'held-out', '0.06000'],
    ]);
  });

  it('the page draws both models side by side, one plot for each model, and one for sizes', () => {
    const html = renderStudy(study);
    expect(html.match(/<svg /g)?.length).toBe(6);
    expect(html).not.toMatch(/NaN|undefined/);
  });
});
