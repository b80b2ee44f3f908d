import {
  channelMagnitudes,
  clippingHistogram,
  errorHeatMap,
  klDistribution,
  paretoFront,
  reliabilityDiagram,
  sizeQualityPlot,
} from '@calibrant/report';
import { describe, expect, it } from '@jest/globals';
import { sampleData } from './sample-data.js';

const data = sampleData();
const count = (svg: string, mark: RegExp) => svg.match(mark)?.length ?? 0;

describe('plots', () => {
  it('each has a name and a description with the figures, for people who do not see it', () => {
    const drawings = [
      sizeQualityPlot(data.runs!),
      errorHeatMap(data.layers!),
      klDistribution(data.quality!.divergence!),
      reliabilityDiagram(data.quality!.calibration!.quantized, data.quality!.calibration!.base),
      channelMagnitudes(data.channels![0]),
      clippingHistogram(data.ranges![0]),
    ];
    for (const drawing of drawings) {
      expect(drawing?.svg).toMatch(/^<svg [^>]*role="img"/);
      expect(drawing?.svg).toContain('<title id=');
      expect(drawing?.description).toMatch(/\d/);
      expect(drawing?.svg).not.toMatch(/NaN|undefined|Infinity/);
    }
    expect(new Set(drawings.map((drawing) => /aria-labelledby="([^"]+)"/.exec(drawing!.svg)![1])).size).toBe(drawings.length);
  });

  it('the heat map has one cell for each layer, and says which is worst', () => {
    const drawing = errorHeatMap(data.layers!)!;
    expect(count(drawing.svg.slice(drawing.svg.indexOf('aria-label="cell"')), /<rect /g)).toBe(data.layers!.length);
    expect(drawing.description).toContain('model.layers.3.down_proj.weight');
    expect(drawing.title).toMatch(/^Relative error of each layer’s output, 0\.3\d % to 30\.\d %$/);
    expect(drawing.svg.includes('>30.7 %<')).toBe(true);
  });

  it('of several layers of one kind in a block the worst is shown', () => {
    const [layer] = data.layers!;
    const experts = [0.1, 0.3, 0.2].map((outputError, i) => ({ ...layer, name: `expert.${i}`, outputError }));
    const drawing = errorHeatMap(experts)!;
    expect(drawing.description).toContain('1 layers in 1 blocks. The largest error is 30.0 % in expert.1');
  });

  it('the clipping histogram says what each range loses by clipping and by rounding', () => {
    const drawing = clippingHistogram({
      name: 'x',
      edges: [0, 1, 2, 3, 4],
      counts: [10, 70, 10, 10],
      marks: [
        { calibrator: 'minmax', low: 0, high: 4, clipping: 0, rounding: 0.02 },
        { calibrator: 'mse', low: 1, high: 3, clipping: 0.2, rounding: 0 },
      ],
    })!;
    expect(drawing.description).toContain('minmax keeps 0.00 to 4.00; 0.0 % of the energy is lost by clipping and 2.0 % by rounding');
    expect(drawing.description).toContain('mse keeps 1.00 to 3.00; 20.0 % of the energy is lost by clipping and 0.0 % by rounding');
  });

  it('runs that another beats in size and divergence are not on the front', () => {
    const runs = data.runs!.map(({ name, bytes, meanKl }) => ({ name, bytes, kl: meanKl!.value }));
    expect([...paretoFront(runs)].sort()).toEqual(['Q8_0', 'int4-g128-asym']);
  });

  it('a run without loss, equal errors and a single layer are drawn too', () => {
    const exact = { name: 'F32', bytes: 1, bitsPerWeight: 32, meanKl: { value: 0, standardError: 0 } };
    expect(sizeQualityPlot([exact])!.svg).not.toMatch(/NaN|Infinity/);
    expect(sizeQualityPlot([exact, ...data.runs!])!.svg).not.toMatch(/NaN|Infinity/);
    const layer = { ...data.layers![0], weightError: 0, outputError: 0 };
    expect(errorHeatMap([layer])!.svg).not.toMatch(/NaN|Infinity/);
  });

  it('without data there is no drawing', () => {
    expect(sizeQualityPlot([{ name: 'a', bytes: 1, bitsPerWeight: 4 }])).toBeUndefined();
    expect(errorHeatMap([])).toBeUndefined();
    expect(klDistribution({ ...data.quality!.divergence!, histogram: { edges: [0, 1], counts: [0] } })).toBeUndefined();
  });
});
