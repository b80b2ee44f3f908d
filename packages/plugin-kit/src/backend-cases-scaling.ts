import { channelMagnitudes, fakeQuantizeAffine, scaleMatrix, squaredErrors, tensor } from '@calibrant/core';
import { type BackendCase, backendCase, normal } from './backend-case.js';

const SIZES = [
  ['one value', 1, 1, 1],
  ['odd width, a short last group', 5, 39, 16],
  ['several chunks', 300, 24, 8],
  ['no rows', 0, 12, 4],
] as const;

/** What scaling methods (SmoothQuant, AWQ) are made of. */
export function scalingCases(): BackendCase[] {
  return SIZES.flatMap(([what, rowCount, columns, groupSize]) => {
    const w = normal([rowCount, columns], 90);
    if (rowCount > 2) (w.data as Float32Array).fill(0, columns, 2 * columns);
    const rowFactors = normal([rowCount], 91);
    const columnFactors = tensor(
      'f32',
      [columns],
      (normal([columns], 92).data as Float32Array).map((value) => Math.exp(value)),
    );
    const quantized = [2, 4, 8].flatMap((bits) =>
      [false, true].flatMap((symmetric) => {
        const name = `${what}, ${bits} bits${symmetric ? ', symmetric' : ''}`;
        const attributes = { bits, groupSize, symmetric };
        return [
          backendCase(fakeQuantizeAffine, name, { w }, attributes, 'exact'),
          backendCase(fakeQuantizeAffine, `${name}, factors`, { w, factors: columnFactors }, attributes, 'exact'),
        ];
      }),
    );
    return [
      ...quantized,
      backendCase(channelMagnitudes, what, { x: w }, {}, 'exact'),
      backendCase(scaleMatrix, `${what}, rows and columns`, { w, rowFactors, columnFactors }, {}, 'exact'),
      backendCase(scaleMatrix, `${what}, rows`, { w, rowFactors }, {}, 'exact'),
      backendCase(scaleMatrix, `${what}, columns`, { w, columnFactors }, {}, 'exact'),
      backendCase(squaredErrors, what, { a: w, b: normal([rowCount, columns], 93) }, {}, 'exact'),
    ];
  });
}
