import { awq } from '@calibrant/awq';
import {
  type BoundCalibrator,
  type BufferHandle,
  createReferenceBackend,
  createRng,
  foldFactors,
  gridOfRange,
  groupMagnitudes,
  linear,
  parseAffineScheme,
  type ScalingSite,
  scale,
  type Tensor,
  type TransformBlock,
  type TransformLinear,
  tensor,
} from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { plainSearch } from './plain-awq.js';

const CHANNELS = 32;
const OUT = 24;
const backend = createReferenceBackend();

/** A norm before one layer, or two that are added up, with a few large channels; two sequences of tokens that it sees. */
async function tinyBlock(seed: number, layers: number, scheme = parseAffineScheme('int3-g16-asym')!) {
  const random = createRng(seed);
  const large = Array.from({ length: CHANNELS }, () => (random.uniform() < 0.15 ? 12 : 1));
  const values = [20, 20].map((tokens) =>
    tensor(
      'f32',
      [tokens, CHANNELS],
      Float32Array.from({ length: tokens * CHANNELS }, (_, i) => random.normal() * large[i % CHANNELS]),
    ),
  );
  const weights = new Map<string, BufferHandle>();
  const originals: Tensor[] = [];
  const linears: TransformLinear[] = [];
  for (let l = 0; l < layers; l++) {
    const w = tensor(
      'f32',
      [OUT, CHANNELS],
      Float32Array.from({ length: OUT * CHANNELS }, () => random.normal()),
    );
    originals.push(w);
    weights.set(`mlp.up${l}.weight`, await backend.upload(w));
    linears.push({ weight: `mlp.up${l}.weight`, point: 'x', shape: [OUT, CHANNELS], scheme });
  }
  weights.set('norm', await backend.upload(tensor('f32', [CHANNELS], new Float32Array(CHANNELS).fill(1))));
  const rows = Int32Array.from({ length: CHANNELS }, (_, i) => i);
  const site: ScalingSite = {
    name: 'norm',
    point: 'x',
    channels: CHANNELS,
    predecessor: { kind: 'norm', weight: 'norm', offset: 0, rows, sharedBy: 1 },
    linears,
  };
  const block: TransformBlock = {
    index: 0,
    architecture: 'test',
    weights,
    linears,
    sites: [site],
    sequences: [20, 20],
    async observe(points, see) {
      for (const [sequence, value] of values.entries()) {
        const handle = await backend.upload(value);
        if (points.has('x')) see('x', handle, sequence);
      }
    },
    recompute: async (_, value, others) => linears.map(({ weight }) => backend.run(linear, { x: value, w: others.get(weight) }, {}).y),
    fold: (where, factors) => foldFactors(backend, weights, where, factors),
  };
  const inputs = tensor('f32', [40, CHANNELS], Float32Array.from(values.flatMap(({ data }) => [...(data as Float32Array)])));
  return { block, inputs, originals };
}

const context = { backend, warn: () => {} };
const options = (given: Parameters<typeof awq>[0] = {}) => awq().options.parse({ clip: false, searchTokens: 1000, ...given });

/** Half of the largest magnitude of each group, either way. */
const halfRange: BoundCalibrator = {
  name: 'half',
  range: () => ({ low: -1, high: 1 }),
  ranges(on, w, { groupSize }) {
    const { magnitudes: x } = on.run(groupMagnitudes, { w }, { groupSize });
    return { lows: on.run(scale, { x }, { scale: -0.5 }).y, highs: on.run(scale, { x }, { scale: 0.5 }).y };
  },
};

describe('the scale search', () => {
  it.each([
    [1, true],
    [2, false],
    [3, true],
    [4, false],
  ])('on a tiny net (seed %d, duo scaling %s) finds what a plain implementation of the paper finds', async (seed, duoScaling) => {
    const { block, inputs, originals } = await tinyBlock(seed, 1);
    const trials = plainSearch(
      originals[0],
      inputs,
      { bits: 3, groupSize: 16, symmetric: false },
      20,
      duoScaling,
      block.sites[0].predecessor.rows,
    );
    const best = trials.reduce((least, trial) => (trial.loss < least.loss ? trial : least));
    const [{ facts }] = await awq().apply(block, options({ duoScaling }), context);
    expect(facts['ratio']).toBe(best.ratio);
    expect(Number(facts['loss']) / best.loss).toBeCloseTo(1, 4);
    expect(Number(facts['lossUnscaled']) / trials[0].loss).toBeCloseTo(1, 4);
    const norm = (await backend.download(block.weights.get('norm')!)).data as Float32Array;
    for (const [c, value] of norm.entries()) expect(value * best.factors[c]).toBeCloseTo(1, 3);
  });

  it('of both ways is not above either, nor above round to nearest, with several layers, and scaling them leaves their outputs', async () => {
    const losses: number[] = [];
    for (const duoScaling of [true, false, 'both'] as const) {
      const { block, inputs, originals } = await tinyBlock(9, 2);
      const [{ facts }] = await awq().apply(block, options({ duoScaling }), context);
      expect(facts['loss']).toBeLessThanOrEqual(facts['lossUnscaled'] as number);
      losses.push(facts['loss'] as number);
      const [norm, w] = await Promise.all(['norm', 'mlp.up1.weight'].map((name) => backend.download(block.weights.get(name)!)));
      for (let i = 0; i < OUT * CHANNELS; i += 7)
        expect(Number(w.data[i]) * Number(norm.data[i % CHANNELS])).toBeCloseTo(Number(originals[1].data[i]), 5);
      expect(inputs.shape[0]).toBe(40);
    }
    expect(losses[2]).toBe(Math.min(...losses));
    expect(losses[2]).toBeLessThan(losses[0] + 1e-9);
  });

  it('clips afterwards where that helps', async () => {
    const { block } = await tinyBlock(5, 1);
    const facts = await awq().apply(block, options({ clip: true }), context);
    expect(facts.map(({ at }) => at)).toEqual(['norm', 'mlp.up0.weight']);
    expect(facts[1].facts['clipError']).toBeLessThan(facts[1].facts['clipErrorBefore'] as number);
  });

  it('rounds over the ranges that a calibrator of the recipe chooses', async () => {
    const { block, inputs, originals } = await tinyBlock(7, 1);
    const [{ facts }] = await awq().apply(block, options(), { ...context, calibrator: halfRange });
    const w = originals[0].data as Float32Array;
    const errors = w.map((value, i) => {
      const group = w.subarray(16 * Math.floor(i / 16), 16 * Math.floor(i / 16) + 16);
      const half = Math.max(...group.map(Math.abs)) / 2;
      const [step, zeroPoint] = gridOfRange(-half, half, 3, false);
      return step * (Math.max(0, Math.min(7, Math.round(value / step) + zeroPoint)) - zeroPoint) - value;
    });
    let loss = 0;
    for (let t = 0; t < inputs.shape[0]; t++)
      for (let o = 0; o < OUT; o++) {
        let sum = 0;
        for (let c = 0; c < CHANNELS; c++) sum += Number(inputs.data[t * CHANNELS + c]) * errors[o * CHANNELS + c];
        loss += sum ** 2 / (inputs.shape[0] * OUT);
      }
    expect(Number(facts['lossUnscaled']) / loss).toBeCloseTo(1, 4);
  });

  it('takes grids of rows and of the whole tensor, too', async () => {
    for (const name of ['int4-channel-sym', 'int4-tensor-asym']) {
      const { block } = await tinyBlock(6, 1, parseAffineScheme(name)!);
      const [{ facts }] = await awq().apply(block, options(), context);
      expect(facts['loss']).toBeLessThan(facts['lossUnscaled'] as number);
    }
  });
});
