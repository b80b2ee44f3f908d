import { createRng } from '@calibrant/core';
import { calibrationError } from '@calibrant/eval';
import { describe, expect, it } from '@jest/globals';

describe('expected calibration error', () => {
  it('is the hand-computed sum over bins of equal width', () => {
    const { ece, maxCalibrationError, accuracy, meanConfidence, bins } = calibrationError([0.95, 0.85, 0.85, 0.3], [1, 1, 0, 1], {
      bins: 10,
    });
    // Bins (0.9, 1]: gap 0.05; (0.8, 0.9]: |0.5 − 0.85|, two; (0.2, 0.3]: 0.7.
    expect(ece.value).toBeCloseTo((0.05 + 2 * 0.35 + 0.7) / 4, 12);
    expect(maxCalibrationError).toBeCloseTo(0.7, 12);
    expect([accuracy, meanConfidence]).toEqual([0.75, expect.closeTo(0.7375, 12)]);
    expect(bins.map(({ count }) => count)).toEqual([0, 0, 1, 0, 0, 0, 0, 0, 2, 1]);
    expect(bins[8]).toEqual({ lower: 0.8, upper: 0.9, count: 2, meanConfidence: expect.closeTo(0.85, 12), accuracy: 0.5 });
  });

  it('is 0 for a model that is right as often as it says, and c − a for one that always says c and is right with a', () => {
    expect(calibrationError([0.5, 0.5, 1, 1, 0], [1, 0, 1, 1, 0])).toMatchObject({
      ece: { value: 0 },
      adaptiveEce: { value: 0 },
      maxCalibrationError: 0,
    });
    const sure = calibrationError(
      new Array(100).fill(0.9),
      Array.from({ length: 100 }, (_, i) => (i < 60 ? 1 : 0)),
    );
    expect(sure.ece.value).toBeCloseTo(0.3, 12);
    expect(sure.adaptiveEce.value).toBeCloseTo(0.3, 12);
    expect(sure.adaptiveBins).toHaveLength(1);
    // The standard error of a mean of 60 times 0.1 and 40 times −0.9, whatever its sign.
    expect(sure.ece.standardError).toBeCloseTo(Math.sqrt((0.6 * 0.1 ** 2 + 0.4 * 0.9 ** 2 - 0.3 ** 2) / 99), 12);
  });

  it('cuts bins of equal mass by rank, whatever the confidences', () => {
    const confidences = [0.9, 0.1, 0.91, 0.2, 0.92, 0.93];
    const { adaptiveBins, adaptiveEce } = calibrationError(confidences, [1, 0, 0, 1, 1, 1], { bins: 3 });
    expect(adaptiveBins.map(({ count, lower, upper }) => [count, lower, upper])).toEqual([
      [2, 0.1, 0.2],
      [2, 0.9, 0.91],
      [2, 0.92, 0.93],
    ]);
    expect(adaptiveEce.value).toBeCloseTo((2 * 0.35 + 2 * 0.405 + 2 * 0.075) / 6, 12);
    expect(calibrationError([0.4, 0.6], [0, 1]).adaptiveBins).toHaveLength(2);
  });

  it('finds the error of simulated predictions within its standard error', () => {
    const rng = createRng(5);
    const n = 20000;
    const confidences = Float32Array.from({ length: n }, () => 0.3 + 0.7 * rng.uniform());
    // True rates are 0.1 below what the model says.
    const correct = confidences.map((confidence) => (rng.uniform() < confidence - 0.1 ? 1 : 0));
    const { ece, adaptiveEce } = calibrationError(confidences, correct);
    for (const { value, standardError } of [ece, adaptiveEce]) {
      expect(standardError).toBeLessThan(0.005);
      expect(Math.abs(value - 0.1)).toBeLessThan(4 * standardError);
    }
  });

  it('puts edges into the bin below, 0 into the first and 1 into the last', () => {
    const { bins } = calibrationError([0, 0.2, 0.4, 0.6, 0.8, 1], [0, 0, 0, 0, 0, 0], { bins: 5 });
    expect(bins.map(({ count }) => count)).toEqual([2, 1, 1, 1, 1]);
    const fifteen = Array.from({ length: 15 }, (_, i) => (i + 1) / 15);
    expect(calibrationError(fifteen, new Array(15).fill(1)).bins.map(({ count }) => count)).toEqual(new Array(15).fill(1));
  });

  it('takes the mean Brier score, and refuses what is no confidence', () => {
    expect(calibrationError([0.5, 0.5], [1, 0], { brier: [0.5, 1.5] }).brier).toEqual({ value: 1, standardError: 0.5 });
    expect(() => calibrationError([], [])).toThrow(/at least one/);
    expect(() => calibrationError([0.5], [1, 0])).toThrow(/1 confidences and 2 answers/);
    expect(() => calibrationError([NaN], [1])).toThrow(/from 0 to 1, found NaN/);
    expect(() => calibrationError([1.1], [1])).toThrow(/found 1.1/);
  });
});
