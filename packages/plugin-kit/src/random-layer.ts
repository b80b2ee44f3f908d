import { type AffineScheme, type AffineTensor, createRng, rows, type Tensor, tensor } from '@calibrant/core';

/** Random codes on an integer grid, `[out, in]`, with positive scales that f16 and bf16 hold exactly. */
export function randomLayer(scheme: AffineScheme, [out, columns]: readonly [number, number], seed = 1): AffineTensor {
  const rng = createRng(seed);
  const groups = scheme.granularity === 'group' ? columns / (scheme.groupSize as number) : 1;
  const grids = scheme.granularity === 'tensor' ? 1 : out;
  const code = () => rng.u32() % 2 ** scheme.bits;
  return {
    kind: 'affine',
    scheme,
    shape: [out, columns],
    codes: Uint8Array.from({ length: out * columns }, code),
    scales: tensor(
      'f32',
      [grids, groups],
      Float32Array.from({ length: grids * groups }, () => (128 + (rng.u32() % 128)) * 2 ** -14),
    ),
    zeroPoints: tensor(
      'u8',
      [grids, groups],
      Uint8Array.from({ length: grids * groups }, () => (scheme.symmetric ? 2 ** (scheme.bits - 1) : code())),
    ),
  };
}

/** Rows `[start, end)` of a layer as a tensor of their own. */
export function codedRows(layer: AffineTensor, start: number, end: number): AffineTensor {
  const columns = layer.shape[1];
  const cut = (grid: Tensor) => (layer.scheme.granularity === 'tensor' ? grid : rows(grid, start, end));
  return {
    ...layer,
    shape: [end - start, columns],
    codes: layer.codes.slice(start * columns, end * columns),
    scales: cut(layer.scales),
    zeroPoints: cut(layer.zeroPoints),
  };
}
