import { type FakeQuantizeAttributes, fakeQuantize, rowRanges, type Tensor, tensor } from '@calibrant/core';
import { type BackendCase, backendCase, normal } from './backend-case.js';

type Grid = Pick<FakeQuantizeAttributes, 'type' | 'bits' | 'symmetric'>;

const GRIDS: readonly (readonly [name: string, grid: Grid])[] = [
  ...[2, 4, 8].flatMap((bits) => [
    [`int${bits}`, { type: 'int', bits, symmetric: true }] as const,
    [`int${bits}, asymmetric`, { type: 'int', bits, symmetric: false }] as const,
  ]),
  ['E4M3', { type: 'float', bits: 8, symmetric: true }],
];

/** Rounding of values that flow through a model: per group, per token, and per tensor with a measured or a given scale. */
export function activationCases(): BackendCase[] {
  const cases: BackendCase[] = [];
  for (const [what, rows, columns, groupSize] of [
    ['one value', 1, 1, 1],
    ['odd rows', 3, 37, 37],
    ['groups', 5, 96, 32],
    ['several chunks', 131, 24, 24],
  ] as const) {
    const x = normal([rows, columns], 70 + rows, 3);
    const { ranges } = rowRanges.reference({ x }, {}, { start: 0, end: rows });
    cases.push(backendCase(rowRanges, what, { x }, {}, 'exact'));
    for (const [name, grid] of GRIDS) {
      const given = { ...grid, groupSize: columns, scale: 0.037, zeroPoint: 2 };
      cases.push(
        backendCase(fakeQuantize, `${what}, ${name}`, { x }, { ...grid, groupSize }, 'exact'),
        backendCase(fakeQuantize, `${what}, ${name}, one scale`, { x, ranges }, { ...grid, groupSize: columns }, 'exact'),
        backendCase(fakeQuantize, `${what}, ${name}, given scale`, { x }, given, 'exact'),
      );
    }
  }
  const edges = awkward();
  for (const [name, grid] of GRIDS)
    cases.push(
      backendCase(
        fakeQuantize,
        `ties, saturation, zeros, ${name}`,
        { x: edges },
        { ...grid, groupSize: 32, scale: 1, zeroPoint: 1 },
        'exact',
      ),
      backendCase(fakeQuantize, `an all-zero row, ${name}`, { x: tensor('f32', [2, 8]) }, { ...grid, groupSize: 8 }, 'exact'),
    );
  cases.push(
    backendCase(
      fakeQuantize,
      'a least scale',
      { x: normal([2, 16], 77, 1e-5) },
      { ...GRIDS[6][1], groupSize: 16, leastScale: 1e-4 },
      'exact',
    ),
  );
  return cases;
}

/** Ties of integers and of E4M3 (also between its subnormal numbers), values beyond both ranges, signed zeros. */
function awkward(): Tensor {
  const positive = [0, 0.5, 1.5, 2.5, 126.5, 127.5, 1e9, 447, 448, 464, 480, 17, 19, 2 ** -9, 1.5 * 2 ** -9, 2 ** -10];
  return tensor('f32', [1, 32], Float32Array.from([...positive, ...positive.map((value) => -value)]));
}
