import { type Backend, type BufferHandle, fitAffine, roundAffine, tensor } from '@calibrant/core';
import { byteCounts } from '../kernels/byte-counts.js';

/** A min-max grid: one for the tensor, for each output channel, or for each group of so many weights. */
export interface Grid {
  readonly bits: number;
  readonly granularity: 'tensor' | 'channel' | number;
}

/** How often each code occurs when some rows of a weight are rounded to their min-max grid (that of `core.fitAffine`): `[256]` i32. */
export async function codeCounts(
  backend: Backend,
  x: BufferHandle,
  { bits, granularity }: Grid,
  range: { readonly min: number; readonly max: number },
): Promise<BufferHandle> {
  const columns = x.shape[1];
  const groupSize = typeof granularity === 'number' ? Math.min(granularity, columns) : columns;
  const { scales, zeroPoints } =
    granularity === 'tensor'
      ? await tensorGrid(backend, x, bits, range)
      : backend.run(fitAffine, { w: x }, { bits, groupSize, symmetric: false });
  const { codes } = backend.run(roundAffine, { w: x, scales, zeroPoints }, { bits, groupSize });
  const { counts } = backend.run(byteCounts, { codes }, {});
  backend.free(scales, zeroPoints, codes);
  return counts;
}

/** The grid of a row that holds the tensor's two ends, for each of the rows. */
async function tensorGrid(
  backend: Backend,
  { shape: [rows], lane }: BufferHandle,
  bits: number,
  { min, max }: { min: number; max: number },
) {
  const w = tensor('f32', [1, 2], Float32Array.of(min, max));
  const grid = fitAffine.reference({ w }, { bits, groupSize: 2, symmetric: false }, { start: 0, end: 1 });
  const where = lane === undefined ? {} : { lane };
  const [scales, zeroPoints] = await Promise.all([
    backend.upload(tensor('f32', [rows, 1], new Float32Array(rows).fill(grid.scales.data[0] as number)), where),
    backend.upload(tensor('u8', [rows, 1], new Uint8Array(rows).fill(grid.zeroPoints.data[0] as number)), where),
  ]);
  return { scales, zeroPoints };
}
