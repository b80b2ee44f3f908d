import {
  type ActivationKind,
  activation,
  add,
  convert,
  dequantizeAffine,
  dequantizeMinifloat,
  encodeFloat,
  fitAffine,
  gather,
  gridUse,
  groupMagnitudes,
  layerNorm,
  packBits,
  rmsNorm,
  rope,
  roundAffine,
  roundMinifloat,
  scale,
  slice,
  softmax,
  type Tensor,
  tensor,
  transpose,
  unpackBits,
} from '@calibrant/core';
import { type BackendCase, backendCase, integers, normal } from './backend-case.js';

const NORM = 1e-6;

/** Norms, activations, layout, conversion, grids and packing: everything that works row by row. */
export function rowCases(): BackendCase[] {
  return [
    ...normCases(),
    ...elementwiseCases(),
    ...layoutCases(),
    ...convertCases(),
    ...affineCases(),
    ...minifloatCases(),
    ...packingCases(),
  ];
}

function normCases(): BackendCase[] {
  const cases: BackendCase[] = [];
  for (const [what, rowCount, columns, width] of [
    ['one value', 1, 1, 1],
    ['odd width', 3, 37, 37],
    ['one row', 1, 64, 64],
    ['per head', 5, 48, 16],
    ['several chunks', 515, 20, 20],
  ] as const) {
    const x = normal([rowCount, columns], 30);
    const weight = normal([width], 31);
    cases.push(
      backendCase(rmsNorm, what, { x, weight }, { eps: 1e-5 }, NORM),
      backendCase(rmsNorm, `${what}, offset 1`, { x, weight }, { eps: 1e-6, offset: 1 }, NORM),
      backendCase(layerNorm, what, { x, weight }, { eps: 1e-5 }, NORM),
      backendCase(layerNorm, `${what}, bias`, { x, weight, bias: normal([width], 32) }, { eps: 1e-5 }, NORM),
      backendCase(softmax, what, { x }, {}, NORM),
      backendCase(softmax, `${what}, wide range`, { x: normal([rowCount, columns], 33, 60) }, {}, NORM),
    );
  }
  return cases;
}

function elementwiseCases(): BackendCase[] {
  const x = normal([5, 39], 34, 4);
  const up = normal([5, 39], 35);
  const cases: BackendCase[] = [
    backendCase(add, 'odd width', { a: x, b: up }, {}, 'exact'),
    backendCase(add, 'with scale, several chunks', { a: normal([600, 7], 36), b: normal([600, 7], 37) }, { scale: -0.3 }, 'exact'),
    backendCase(scale, 'odd width', { x }, { scale: 0.7 }, 'exact'),
  ];
  for (const kind of ['silu', 'gelu', 'geluTanh', 'relu'] satisfies ActivationKind[])
    cases.push(
      backendCase(activation, kind, { x }, { kind }, NORM),
      backendCase(activation, `${kind} with up`, { x, up }, { kind }, NORM),
      backendCase(activation, `${kind}, large values`, { x: normal([3, 21], 38, 100) }, { kind }, NORM),
    );
  for (const style of ['half', 'interleaved'] as const)
    for (const rotated of [8, 12]) {
      const tables = [0, 1].map((phase) => tensor('f32', [40, rotated / 2], angles(40, rotated / 2, phase)));
      const inputs = { x: normal([11, 36], 39), positions: integers('i32', [11], 40, 40), cos: tables[0], sin: tables[1] };
      cases.push(backendCase(rope, `${style}, ${rotated} of 12 dimensions`, inputs, { headDim: 12, style }, NORM));
    }
  return cases;
}

function angles(positions: number, half: number, phase: number): Float32Array {
  return Float32Array.from({ length: positions * half }, (_, i) => {
    const angle = Math.floor(i / half) / 100 ** ((i % half) / half);
    return phase === 0 ? Math.cos(angle) : Math.sin(angle);
  });
}

function layoutCases(): BackendCase[] {
  const x = normal([17, 23], 41);
  const bytes = integers('u8', [17, 23], 42, 256);
  const halves = tensor('f16', [17, 23], Uint16Array.from(bytes.data as Uint8Array));
  const rectangle = { rowStart: 3, rowEnd: 9, columnStart: 5, columnEnd: 22 };
  return [x, bytes, halves].flatMap((value) => [
    backendCase(transpose, `${value.dtype}`, { x: value }, {}, 'exact'),
    backendCase(slice, `${value.dtype}`, { x: value }, rectangle, 'exact'),
    backendCase(slice, `${value.dtype}, no rows`, { x: value }, { ...rectangle, rowEnd: 3 }, 'exact'),
    backendCase(gather, `${value.dtype}`, { table: value, ids: integers('i32', [29], 43, 17) }, {}, 'exact'),
  ]);
}

/** Ordinary values, ties, subnormals of the small types, overflow, zeros of both signs, infinities, NaN. */
function awkward(): Tensor {
  const special = [
    0,
    -0,
    1,
    -1,
    Infinity,
    -Infinity,
    NaN,
    65504,
    65519.99,
    65520,
    1e30,
    -1e30,
    6e-8,
    2.98e-8,
    3e-8,
    -5.96e-8,
    1e-40,
    448,
    464,
  ];
  const ties = [1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 2 ** -14, 2 ** -14 - 2 ** -25, 2 ** -24, 3 * 2 ** -25];
  const scattered = normal([1, 150], 44).data as Float32Array;
  const values = Float32Array.from([...special, ...ties, ...scattered, ...scattered.map((value) => value * 2 ** (value * 9))]);
  return tensor('f32', [3, Math.floor(values.length / 3)], values.slice(0, 3 * Math.floor(values.length / 3)));
}

function convertCases(): BackendCase[] {
  const cases: BackendCase[] = [];
  const x = awkward();
  const sources: Tensor[] = [
    x,
    tensor(
      'f64',
      x.shape,
      Float64Array.from(x.data as Float32Array, (value) => value * (1 + 2 ** -40)),
    ),
  ];
  for (const dtype of ['f16', 'bf16'] as const) {
    const coded = tensor(dtype, x.shape);
    encodeFloat(dtype, x.data as Float32Array, coded.data as Uint16Array);
    sources.push(coded);
  }
  sources.push(
    tensor(
      'f16',
      [64, 1024],
      Uint16Array.from({ length: 65536 }, (_, i) => i),
    ),
  );
  for (const dtype of ['f8_e4m3', 'f8_e5m2'] as const)
    sources.push(
      tensor(
        dtype,
        [2, 128],
        Uint8Array.from({ length: 256 }, (_, i) => i),
      ),
    );
  for (const source of sources)
    for (const to of ['f32', 'f16', 'bf16', 'f64'] as const)
      cases.push(backendCase(convert, `${source.dtype} [${source.shape.join(', ')}] to ${to}`, { x: source }, { to }, 'exact'));
  return cases;
}

function affineCases(): BackendCase[] {
  const cases: BackendCase[] = [];
  for (const [what, rowCount, columns, groupSize] of [
    ['one value', 1, 1, 1],
    ['one group a row', 3, 37, 37],
    ['a short last group', 5, 70, 32],
    ['several chunks', 130, 24, 8],
  ] as const)
    for (const bits of [2, 3, 4, 8])
      for (const symmetric of [false, true]) {
        const w = normal([rowCount, columns], 50 + bits);
        if (rowCount > 2) (w.data as Float32Array).fill(0, columns, 2 * columns);
        const name = `${what}, ${bits} bits${symmetric ? ', symmetric' : ''}`;
        const grid = fitAffine.reference({ w }, { bits, groupSize, symmetric }, { start: 0, end: rowCount });
        const { codes } = roundAffine.reference(
          { w, ...grid, groupIndex: undefined as never },
          { bits, groupSize },
          { start: 0, end: rowCount },
        );
        cases.push(
          backendCase(fitAffine, name, { w }, { bits, groupSize, symmetric }, 'exact'),
          backendCase(roundAffine, name, { w, ...grid }, { bits, groupSize }, 'exact'),
          backendCase(dequantizeAffine, name, { codes, ...grid }, { groupSize }, 'exact'),
          // Other weights than the codes are of, so that some lie beyond the grid.
          backendCase(gridUse, name, { w: normal([rowCount, columns], 70), codes, ...grid }, { bits, groupSize }, 'exact'),
        );
      }
  const w = normal([6, 50], 57);
  const grid = {
    scales: tensor('f32', [6, 4], normal([6, 4], 58).data.map(Math.abs as never) as Float32Array),
    zeroPoints: integers('u8', [6, 4], 59, 16),
  };
  const groupIndex = integers('i32', [50], 60, 4);
  const codes = integers('u8', [6, 50], 61, 16);
  const tie = tensor('f32', [1, 9], Float32Array.from([0.5, 1.5, 2.5, -0.5, -1.5, 1e9, -1e9, 3.49999, 3.5]));
  const unit = { scales: tensor('f32', [1, 1], Float32Array.of(1)), zeroPoints: tensor('u8', [1, 1], Uint8Array.of(8)) };
  cases.push(
    backendCase(roundAffine, 'groups by index', { w, ...grid, groupIndex }, { bits: 4, groupSize: 16 }, 'exact'),
    backendCase(dequantizeAffine, 'groups by index', { codes, ...grid, groupIndex }, { groupSize: 16 }, 'exact'),
    backendCase(roundAffine, 'ties to even and clamps', { w: tie, ...unit }, { bits: 4, groupSize: 9 }, 'exact'),
  );
  return cases;
}

function minifloatCases(): BackendCase[] {
  const cases: BackendCase[] = [];
  for (const [what, rowCount, columns, groupSize] of [
    ['one value', 1, 1, 1],
    ['blocks, the last one shorter', 3, 53, 16],
    ['several chunks', 131, 24, 24],
  ] as const) {
    const w = normal([rowCount, columns], 60 + rowCount, 3);
    const groups = Math.ceil(columns / groupSize);
    // Some quotients saturate, some fall below the smallest step.
    const scales = tensor(
      'f32',
      [rowCount, groups],
      Float32Array.from({ length: rowCount * groups }, (_, i) => 2 ** ((i % 19) - 9) * 0.7),
    );
    const all = { start: 0, end: rowCount };
    const { codes } = roundMinifloat.reference({ w, scales }, { groupSize }, all);
    cases.push(
      backendCase(groupMagnitudes, what, { w }, { groupSize }, 'exact'),
      backendCase(roundMinifloat, what, { w, scales }, { groupSize }, 'exact'),
      backendCase(dequantizeMinifloat, what, { codes, scales }, { groupSize }, 'exact'),
    );
  }
  return cases;
}

function packingCases(): BackendCase[] {
  return [1, 2, 3, 4, 5, 6, 7, 8].flatMap((bits) =>
    [1, 7, 32, 77].flatMap((columns) => {
      const codes = integers('u8', [3, columns], bits, 2 ** bits);
      const { packed } = packBits.reference({ codes }, { bits }, { start: 0, end: 3 });
      const what = `${columns} codes of ${bits} bits`;
      return [
        backendCase(packBits, what, { codes }, { bits }, 'exact'),
        backendCase(unpackBits, what, { packed }, { bits, columns }, 'exact'),
      ];
    }),
  );
}
