import {
  compareReports,
  DEFAULT_CRITERIA,
  type InputOutliers,
  type OutlierReport,
  outlierCriteria,
  summarize,
  type WeightOutliers,
} from '@calibrant/outliers';
import { describe, expect, it } from '@jest/globals';

const profile = (...values: number[]) => ({ width: values.length, perPoint: 1, values });

function input(absMax: number[], more: Partial<InputOutliers> = {}): InputOutliers {
  const largest = Math.max(...absMax);
  return {
    place: 0,
    point: 'attentionInput',
    linears: ['q', 'k'],
    residual: true,
    tokens: 10,
    width: absMax.length,
    absMax: largest,
    mean: 0,
    rms: 1,
    median: 0.7,
    kurtosis: 2,
    tokenKurtosis: { mean: 1, max: 3 },
    channelRatio: largest,
    channelsAbove: absMax.filter((value) => value >= 6).length,
    channels: { absMax: profile(...absMax), rms: profile(...absMax) },
    top: [],
    histogram: { zeros: 0, edges: [], counts: [] },
    ...more,
  };
}

function weight(name: string, ratio: number): WeightOutliers {
  const side = { absMax: profile(1, ratio), top: [], largestRatio: ratio, medianRatio: 4, sparse: 0 };
  return {
    name,
    place: 0,
    shape: [2, 2],
    mean: 0,
    deviation: 1,
    min: -ratio,
    max: 1,
    kurtosis: ratio,
    beyond: [{ sigmas: 6, share: 0.25 }],
    outputChannels: side,
    inputChannels: side,
    histogram: { low: 0, high: 1, counts: [] },
    grids: [{ bits: 4, granularity: 'tensor', codesUsed: 9, entropy: 2.5 }],
  };
}

function report(model: string, absMax: number[], weights: WeightOutliers[], dimensions: number[]): OutlierReport {
  return {
    version: 1,
    model,
    architecture: 'llama',
    criteria: DEFAULT_CRITERIA,
    calibration: { source: 'text', sequences: 1, tokens: 10 },
    weights,
    inputs: [input(absMax)],
    hiddenStates: [],
    dimensions: dimensions.map((dimension) => ({ dimension, layers: 1, positions: 0.5, absMax: 50 })),
    massive: { count: 0, largest: [], byDimension: [], byPosition: { first: 0, delimiter: 0, other: 0 } },
    summary: [],
  };
}

describe('compareReports', () => {
  const before = report('a', [1, 50, 2, 1], [weight('q', 4), weight('gone', 1)], [1, 3]);
  const after = report('b', [1, 2, 2, 1.2], [weight('q', 40)], [3, 5]);
  const found = compareReports(before, after);

  it('names the channels that changed, largest factor first', () => {
    expect(found.inputs[0].channels).toEqual([
      { channel: 1, before: 50, after: 2 },
      { channel: 3, before: 1, after: 1.2 },
    ]);
    expect(found.inputs[0]).toMatchObject({ absMax: { before: 50, after: 2 }, channelsAbove: { before: 1, after: 0 } });
    expect(found.weights).toMatchObject([{ name: 'q', inputRatio: { before: 4, after: 40 }, absMax: { before: 4, after: 40 } }]);
  });

  it('says which outlier dimensions stay, go and come, and what has no counterpart', () => {
    expect(found.dimensions).toEqual({ kept: [3], gone: [1], added: [5] });
    expect(found.unmatched).toEqual(['gone']);
    expect(found.summary.join(' ')).toMatch(/2 before, 2 after \(1 gone, 1 new\).*50\.0 before and 2\.00 after .*higher at 0, lower at 1/);
  });

  it('finds nothing between equal reports', () => {
    const same = compareReports(before, before);
    expect(same.inputs[0].channels).toEqual([]);
    expect(same.dimensions.gone).toEqual([]);
  });
});

describe('summarize', () => {
  it('recommends what helps against outlier channels', () => {
    const [first, second] = summarize(report('a', [1, 50], [], [1]));
    expect(first).toMatch(
      /^1 of 2 channels carries values of 6 or more in 100 % of the layers, at 50 % of the token positions: SmoothQuant or LLM\.int8\(\)/,
    );
    expect(second).toMatch(/50\.0 times at the most uneven, attentionInput of block 0, where .* 2\.5 of its 127 steps/);
    expect(summarize(report('a', [1, 2], [], []))[0]).toMatch(/^No channel is an outlier/);
  });

  it('says nothing of what was not looked at', () => {
    const { calibration: _, ...weightsAlone } = report('a', [1], [weight('w', 9)], []);
    const sentences = summarize({ ...weightsAlone, inputs: [] });
    expect(sentences).toEqual([
      'The weights with the heaviest tails are w: excess kurtosis 9.0, with 25 % of the weights beyond 6σ.',
      'On average a min-max grid uses 2.50 of 4 bits per tensor.',
    ]);
  });
});

describe('criteria', () => {
  it('are those of the papers unless changed, and checked', () => {
    expect(outlierCriteria({ threshold: 4 })).toEqual({ ...DEFAULT_CRITERIA, threshold: 4 });
    expect(() => outlierCriteria({ layerShare: 25 })).toThrow(/layerShare must be a share from 0 to 1, found 25/);
    expect(() => outlierCriteria({ threshold: 0 })).toThrow(/threshold must be a number above 0/);
    expect(() => outlierCriteria({ positionShare: Number.NaN })).toThrow(/positionShare/);
  });
});
