import { createReferenceBackend, createRng, toF32 } from '@calibrant/core';
import { generate, openTransformer, type RopeScaling } from '@calibrant/transformer';
import { describe, expect, it } from '@jest/globals';
import { ropeTables } from '../src/runtime/rope-tables.js';
import { argmax, maxDifference, row } from './compare.js';
import { describeConfig, variantModel } from './variant-model.js';

const random = createRng(31);
const ids = Int32Array.from({ length: 40 }, () => random.integer(320));
const scalingOf = (name: string, changes: Record<string, unknown>): RopeScaling =>
  describeConfig({ ...variantModel(name, {}).config, ...changes }).rope['main'].scaling;

/** Radians per position, read off the tables at position 1 (all angles are below π there), and the factor on the unit circle. */
function speeds(scaling: RopeScaling, dimensions: number, theta: number, length = 64) {
  const { cos, sin } = ropeTables({ theta, dimensions, scaling }, 64, length);
  const half = dimensions / 2;
  const [c, s] = [toF32(cos).subarray(half, 2 * half), toF32(sin).subarray(half, 2 * half)];
  return { speed: Array.from(c, (value, i) => Math.atan2(s[i], value)), factor: Array.from(c, (value, i) => Math.hypot(value, s[i])) };
}

describe('YaRN', () => {
  const [dimensions, theta, factor, original] = [128, 10000, 16, 4096];
  const scaling = scalingOf('llama', {
    rope_parameters: { rope_type: 'yarn', rope_theta: theta, factor, original_max_position_embeddings: original },
  });

  it('leaves fast dimensions, divides slow ones by the factor, and passes linearly between, by the formulas of the paper', () => {
    const { speed } = speeds(scaling, dimensions, theta);
    const plain = Array.from(speed, (_, i) => theta ** ((-2 * i) / dimensions));
    // r(d) = L / λ(d), equation 17; α = 1 and β = 32 are the paper's choice for Llama.
    const turns = plain.map((value) => (original * value) / (2 * Math.PI));
    const share = speed.map((value, i) => (value / plain[i] - 1 / factor) / (1 - 1 / factor));
    const first = turns.findIndex((r) => r < 32) - 1;
    const last = turns.findIndex((r) => r < 1);
    expect([first, last]).toEqual([20, 46]);
    for (const [i, value] of share.entries())
      expect(Math.abs(value - Math.min(1, Math.max(0, (last - i) / (last - first))))).toBeLessThan(1e-4);
  });

  it('multiplies cosines and sines by 0.1 · ln(factor) + 1, or by what the config says', () => {
    for (const value of speeds(scaling, dimensions, theta).factor) expect(value).toBeCloseTo(0.1 * Math.log(16) + 1, 5);
    const yarn = { rope_type: 'yarn', rope_theta: theta, factor: 16, original_max_position_embeddings: original };
    expect(scalingOf('llama', { rope_parameters: { ...yarn, attention_factor: 1.5 } })).toMatchObject({ attentionFactor: 1.5 });
    const both = scalingOf('llama', { rope_parameters: { ...yarn, mscale: 0.7, mscale_all_dim: 1 } });
    expect(both).toMatchObject({ attentionFactor: (0.07 * Math.log(16) + 1) / (0.1 * Math.log(16) + 1) });
  });

  it('is read in the old spelling, with the original length from max_position_embeddings where none is given', () => {
    const old = {
      rope_parameters: undefined,
      rope_theta: 1000000,
      rope_scaling: { type: 'yarn', factor: 4 },
      max_position_embeddings: 32768,
    };
    expect(scalingOf('qwen2', old)).toMatchObject({
      kind: 'yarn',
      factor: 4,
      betaFast: 32,
      betaSlow: 1,
      originalMaxPositions: 32768,
      truncate: true,
    });
  });
});

describe('LongRoPE', () => {
  const dimensions = 12;
  const factors = (from: number) => Array.from({ length: dimensions / 2 }, (_, i) => from + i / 4);
  const longrope = {
    original_max_position_embeddings: 16,
    max_position_embeddings: 128,
    rope_parameters: {
      rope_type: 'longrope',
      rope_theta: 10000,
      partial_rotary_factor: 0.75,
      short_factor: factors(1),
      long_factor: factors(3),
    },
  };
  const scaling = scalingOf('phi3', longrope);

  it('divides each frequency by its short or long factor, by the length of the sequence', () => {
    for (const [length, first] of [
      [16, 1],
      [17, 3],
    ]) {
      const { speed, factor } = speeds(scaling, dimensions, 10000, length);
      for (const [i, value] of speed.entries()) expect(value * factors(first)[i] * 10000 ** ((2 * i) / dimensions)).toBeCloseTo(1, 4);
      for (const value of factor) expect(value).toBeCloseTo(Math.sqrt(1 + Math.log(8) / Math.log(16)), 5);
    }
  });

  it('goes by the name of su and yarn in old configs of Phi 3', () => {
    for (const type of ['su', 'yarn']) {
      const { rope_type: _, ...rest } = longrope.rope_parameters;
      expect(scalingOf('phi3', { ...longrope, rope_parameters: { ...rest, type } })).toEqual(scaling);
    }
  });

  it('generates beyond the original length what the forward pass over the finished text says', async () => {
    const { checkpoint } = variantModel('phi3', longrope);
    const model = openTransformer(checkpoint, createReferenceBackend());
    const [text] = await generate(model, { prompts: [ids.subarray(0, 10)], length: 24 });
    const logits = await model.logits(text);
    for (let t = 10; t < 24; t++) expect(text[t]).toBe(argmax(row(logits, t - 1)));
    // Short sequences see other factors.
    const short = await model.logits(text.subarray(0, 16));
    expect(maxDifference(row(short, 15), row(logits, 15))).toBeGreaterThan(1e-2);
  });
});
