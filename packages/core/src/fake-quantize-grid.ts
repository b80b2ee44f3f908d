import type { ActivationGrid, ActivationScheme } from './activation-scheme.js';
import type { Backend, BufferHandle } from './backend.js';
import { CalibrantError } from './errors.js';
import { E4M3_MAX, type FakeQuantizeAttributes, fakeQuantize, rowRanges } from './ops/fake-quantize.js';

/** vLLM bounds scales of tokens in E4M3 from below by this, so that rows near zero do not lose their exponent. */
const LEAST_TOKEN_SCALE = 1 / (E4M3_MAX * 512);

/** Rounds values `[rows, columns]` to a grid, on the values' lane. The caller frees the result. */
export function roundActivations(backend: Backend, x: BufferHandle, grid: ActivationGrid): BufferHandle {
  const attributes = fakeQuantizeAttributes(grid, x.shape[1]);
  if (grid.scheme.granularity !== 'tensor' || attributes.scale !== undefined) return backend.run(fakeQuantize, { x }, attributes).y;
  const { ranges } = backend.run(rowRanges, { x }, {});
  const { y } = backend.run(fakeQuantize, { x, ranges }, attributes);
  backend.free(ranges);
  return y;
}

/**
 * What {@link fakeQuantize} needs to know of a grid for rows of `columns`.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for a static grid without its scale, `SHAPE_MISMATCH` for groups that do not divide the row.
 */
export function fakeQuantizeAttributes({ scheme, scale, zeroPoint }: ActivationGrid, columns: number): FakeQuantizeAttributes {
  const { type, bits, symmetric, granularity, dynamic, groupSize = columns } = scheme;
  if (!dynamic && !(scale !== undefined && scale > 0 && Number.isFinite(scale)))
    throw new CalibrantError('INVALID_ARGUMENT', `A static activation grid needs a positive scale, found ${scale}. Calibration finds it.`);
  if (granularity === 'group' && columns % groupSize !== 0)
    throw new CalibrantError('SHAPE_MISMATCH', `Groups of ${groupSize} channels do not divide the ${columns} channels of an activation.`);
  const shared = granularity === 'group' ? groupSize : Math.max(1, columns);
  return {
    type,
    bits,
    symmetric,
    groupSize: shared,
    ...(dynamic ? {} : { scale: scale as number, ...(zeroPoint === undefined ? {} : { zeroPoint }) }),
    ...(dynamic && type === 'float' && granularity === 'token' ? { leastScale: LEAST_TOKEN_SCALE } : {}),
  };
}

/**
 * The static grid of a range of values, extended to hold 0, as compressed-tensors' observers compute it: `absmax / ((2^bits − 1) / 2)` or
 * `(max − min) / (2^bits − 1)`, for E4M3 `absmax / 448`. A range that is only 0 gets the scale 1.
 */
export function staticGrid(scheme: ActivationScheme, range: { readonly min: number; readonly max: number }): ActivationGrid {
  const { type, bits, symmetric } = scheme;
  const [min, max] = [Math.min(0, range.min), Math.max(0, range.max)];
  const levels = 2 ** bits - 1;
  const width = symmetric ? Math.max(-min, max) : max - min;
  const scale = Math.fround(width / (type === 'float' ? E4M3_MAX : symmetric ? levels / 2 : levels)) || 1;
  if (type === 'float' || symmetric) return { scheme, scale };
  return { scheme, scale, zeroPoint: Math.min(levels, Math.round(-min / scale)) };
}
