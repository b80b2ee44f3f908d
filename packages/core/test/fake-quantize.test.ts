import {
  activationSchemeName,
  createReferenceBackend,
  decodeOne,
  fakeQuantize,
  parseActivationScheme,
  roundActivations,
  staticGrid,
  type Tensor,
  tensor,
} from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

const rows = (values: number[][]): Tensor => tensor('f32', [values.length, values[0].length], Float32Array.from(values.flat()));

async function round(name: string, x: Tensor): Promise<Float32Array> {
  const backend = createReferenceBackend();
  const y = roundActivations(backend, await backend.upload(x), { scheme: parseActivationScheme(name) });
  return (await backend.download(y)).data as Float32Array;
}

describe('fake quantization', () => {
  it('int8 per token has the scale absmax / 127 of each row', async () => {
    const y = await round(
      'int8-token',
      rows([
        [127, 1.4, -0.6],
        [0, 0, 0],
        [-254, 3, 5.1],
      ]),
    );
    expect([...y]).toEqual([127, 1, -1, 0, 0, 0, -254, 4, 6]);
  });

  it('int4 per tensor, measured: one scale absmax / 7 for all rows', async () => {
    expect([
      ...(await round(
        'int4-tensor',
        rows([
          [7, 0.4],
          [0.6, -3.5],
        ]),
      )),
    ]).toEqual([7, 0, 1, -4]);
  });

  it('int4 in asymmetric groups: the range of each group, extended to hold 0', async () => {
    const y = await round('int4-g2-asym', rows([[0.2, 1.5, -1, 14]]));
    for (const [i, value] of [0.2, 1.5, -1, 14].entries()) expect(y[i]).toBeCloseTo(value, 5);
  });

  it('E4M3 rounds to the nearest of its values and saturates at 448', () => {
    const values = Array.from({ length: 127 }, (_, pattern) => decodeOne('f8_e4m3', pattern));
    const nearest = (x: number) =>
      values.reduce((best, value) => (Math.abs(value - Math.abs(x)) < Math.abs(best - Math.abs(x)) ? value : best));
    const attributes = { type: 'float', bits: 8, symmetric: true, groupSize: 1, scale: 1 } as const;
    fc.assert(
      fc.property(fc.float({ min: -500, max: 500, noNaN: true }), (value) => {
        const [y] = fakeQuantize.reference({ x: rows([[value]]) } as never, attributes, { start: 0, end: 1 }).y.data as Float32Array;
        expect(Math.abs(Math.abs(y) - Math.abs(value))).toBeCloseTo(Math.abs(nearest(value) - Math.abs(value)), 9);
      }),
    );
  });

  it('no value moves by more than half a step within the range', () => {
    const value = fc.float({ min: -100, max: 100, noNaN: true });
    fc.assert(
      fc.asyncProperty(fc.array(value, { minLength: 4, maxLength: 12 }), fc.constantFrom(2, 3, 5, 8), async (x, bits) => {
        const once = await round(`int${bits}-token-asym`, rows([x]));
        const step = (Math.max(0, ...x) - Math.min(0, ...x)) / (2 ** bits - 1);
        expect(Math.max(...x.map((value, i) => Math.abs(once[i] - value)))).toBeLessThanOrEqual(step * 0.5001 + 1e-6);
      }),
    );
  });

  it('NaN stays NaN, an infinity makes its row NaN and no other', async () => {
    const y = await round(
      'int8-token',
      rows([
        [1, NaN],
        [Infinity, 1],
        [2, 2],
      ]),
    );
    expect([...y]).toEqual([1, NaN, NaN, NaN, 2, 2]);
  });

  it('static grids are those of compressed-tensors: absmax / 127.5, (max − min) / 255, absmax / 448', () => {
    const range = { min: -1, max: 2 };
    expect(staticGrid(parseActivationScheme('int8-tensor-static'), range).scale).toBeCloseTo(2 / 127.5, 7);
    const asymmetric = staticGrid(parseActivationScheme('int8-tensor-asym-static'), range);
    expect(asymmetric).toMatchObject({ scale: Math.fround(3 / 255), zeroPoint: 85 });
    expect(staticGrid(parseActivationScheme('fp8-tensor-static'), range).scale).toBeCloseTo(2 / 448, 7);
    expect(staticGrid(parseActivationScheme('int8-tensor-static'), { min: 0, max: 0 }).scale).toBe(1);
  });

  it('a static grid without a scale is refused, and so are groups that do not divide the row', async () => {
    await expect(round('int8-tensor-static', rows([[1]]))).rejects.toThrow('needs a positive scale');
    await expect(round('int8-g3', rows([[1, 2, 3, 4]]))).rejects.toThrow('Groups of 3 channels do not divide the 4 channels');
    expect(activationSchemeName(parseActivationScheme('int8-g128-asym'))).toBe('int8-g128-asym');
  });
});
