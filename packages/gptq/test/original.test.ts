import { readFileSync } from 'node:fs';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { type Tensor, tensor } from '@calibrant/core';
import { afterAll, describe, expect, it } from '@jest/globals';
import { quantizeLayer } from './quantize-layer.js';

interface Case {
  readonly bits: number;
  readonly symmetric: boolean;
  readonly actOrder: boolean;
  /** Of each row, in hexadecimal digits. */
  readonly codes: readonly string[];
  readonly scales: readonly (readonly number[])[];
  readonly zeroPoints: readonly (readonly number[])[];
}

// Written by tools/interop/gptq-reference/golden.py: the original algorithm in PyTorch.
const golden = JSON.parse(readFileSync(new URL('./golden/original.json', import.meta.url), 'utf8'));
const { rows, columns, tokens } = golden as { rows: number; columns: number; tokens: number };
const cases = golden.cases as Case[];
const GROUP = 128;

/** The layer of golden.py, equal to it bit for bit. */
function scatter(index: number): number {
  let value = Math.imul(index, 2654435761) >>> 0;
  value = Math.imul(value ^ (value >>> 15), 2246822519) >>> 0;
  return (value ^ (value >>> 13)) >>> 22;
}

function layer(): { weight: Tensor; hessian: Tensor } {
  const weight = Float32Array.from({ length: rows * columns }, (_, i) => (scatter(i) - 511) / 512);
  const noise = (t: number, c: number) => scatter(1e6 + t * (columns + 1) + c) - 512;
  const x = Float64Array.from({ length: tokens * columns }, (_, i) => {
    const [t, c] = [Math.floor(i / columns), i % columns];
    return Math.floor((noise(t, c) + noise(t, c + 1)) / 64) * (1 + (c % 5));
  });
  const hessian = new Float32Array(columns * columns);
  for (let i = 0; i < columns; i++)
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let t = 0; t < tokens; t++) sum += x[t * columns + i] * x[t * columns + j];
      hessian[i * columns + j] = sum / 64;
    }
  return { weight: tensor('f32', [rows, columns], weight), hessian: tensor('f32', [columns, columns], hessian) };
}

describe('GPTQ chooses the codes, scales and zero points of the original algorithm', () => {
  const { weight, hessian } = layer();
  const backend = createCpuBackend({ threads: 1 });
  afterAll(() => backend.close());

  /** The rows that are not the original's. */
  async function partedRows({ bits, symmetric, actOrder, ...wanted }: Case): Promise<number[]> {
    const scheme = `int${bits}-g${GROUP}-${symmetric ? 'sym' : 'asym'}`;
    const options = { actOrder: actOrder ? ('full' as const) : ('none' as const), keepBetterRows: false };
    const { codes, scales, zeroPoints } = (await quantizeLayer(weight, hessian, scheme, options, backend)).tensor;
    const groups = columns / GROUP;
    return Array.from({ length: rows }, (_, r) => r).filter((r) => {
      const written = Array.from(codes.subarray(r * columns, (r + 1) * columns), (code) =>
        code.toString(16).padStart(bits === 8 ? 2 : 1, '0'),
      );
      const sameGrid = wanted.scales[r].every(
        (scale, g) =>
          Math.abs(Number(scales.data[r * groups + g]) / scale - 1) < 1e-5 && zeroPoints.data[r * groups + g] === wanted.zeroPoints[r][g],
      );
      return !sameGrid || written.join('') !== wanted.codes[r];
    });
  }

  it.each(cases.filter(({ symmetric }) => !symmetric))('$bits bits, asymmetric, act-order $actOrder', async (of) => {
    expect(await partedRows(of)).toEqual([]);
  });

  it('symmetric, but for one row of 32, whose largest weight lies between two codes so that the last bit of an f32 decides', async () => {
    const symmetric = cases.filter((of) => of.symmetric);
    const parted = await Promise.all(symmetric.map(partedRows));
    expect(symmetric.length * rows).toBe(32);
    expect(parted.flat().length).toBeLessThanOrEqual(1);
  });
});
