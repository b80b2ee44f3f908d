import { describe, expect, it } from '@jest/globals';
import { correlatedHessian, normalWeight, quantizeLayer } from './quantize-layer.js';
import { compareWithTextbook } from './textbook.js';

const [ROWS, COLUMNS] = [24, 48];
const weight = normalWeight(ROWS, COLUMNS, 1);
const hessian = correlatedHessian(COLUMNS, 150, 2);
const importance = Array.from({ length: COLUMNS }, (_, c) => Number(hessian.data[c * COLUMNS + c]));
const stored = importance.map((_, c) => c);
const descending = [...stored].sort((a, b) => importance[b] - importance[a]);

/** Groups by their most important channel, channels inside by importance. */
function groupAware(groupSize: number): number[] {
  const groups = Array.from({ length: COLUMNS / groupSize }, (_, g) => descending.filter((c) => Math.floor(c / groupSize) === g));
  return groups.sort((a, b) => importance[b[0]] - importance[a[0]]).flat();
}

describe('GPTQ makes the choices of the textbook algorithm in f64 with an explicit inverse', () => {
  for (const bits of [2, 3, 4, 8])
    for (const symmetric of [true, false])
      for (const groupSize of [8, 24, COLUMNS])
        for (const [actOrder, order] of [
          ['none', stored],
          ['full', descending],
          ['group-aware', groupAware(groupSize)],
        ] as const)
          it(`${bits} bits, ${symmetric ? 'symmetric' : 'asymmetric'}, groups of ${groupSize}, order ${actOrder}`, async () => {
            const scheme = `int${bits}-${groupSize === COLUMNS ? 'channel' : `g${groupSize}`}-${symmetric ? 'sym' : 'asym'}`;
            const result = await quantizeLayer(weight, hessian, scheme, { actOrder, keepBetterRows: false, blockSize: 16 });
            const deviation = compareWithTextbook(weight, hessian, 0.01, order, groupSize, result.tensor);
            // Bounds of f32 noise in the compensated weights, in units of a scale; 8-bit scales are the smallest.
            expect(deviation.scale).toBeLessThan(2e-5);
            expect(deviation.rounding).toBeLessThan(2e-3);
            expect(deviation.zeroPoint).toBeLessThan(2e-3);
          });
});
