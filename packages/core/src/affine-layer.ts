import { type Backend, type BufferHandle, withBuffers } from './backend.js';
import { CalibrantError } from './errors.js';
import { type FitAttributes, fitAffine, gridOfRanges, groupsPerRow, roundAffine, schemeGroupSize } from './ops/affine.js';
import { gridUse } from './ops/grid-use.js';
import { linear } from './ops/matmul.js';
import type { LinearLayer } from './plugins/contracts.js';
import type { AffineScheme, AffineTensor, BlockScheme } from './scheme.js';
import { elementCount, type Tensor, tensor } from './tensor.js';
import type { BoundCalibrator, GridForm } from './value-range.js';

/** Scales f32 and zero points u8 of a weight on a backend, `[out, groups]`; `[out, 1]` per tensor too, each row alike. */
export interface AffineGrid {
  readonly scales: BufferHandle;
  readonly zeroPoints: BufferHandle;
}

/**
 * Checks that a quantizer can work on a layer: a finite f32 matrix whose rows the scheme's group size divides.
 * Call it first; it waits for the weight.
 *
 * @throws CalibrantError `SHAPE_MISMATCH` naming the tensor and the group sizes that would fit, or `NON_FINITE` with the number of bad values.
 */
export async function checkAffineLayer(backend: Backend, layer: LinearLayer): Promise<void> {
  checkMatrix(layer);
  const columns = layer.weight.shape[1];
  const groupSize = schemeGroupSize(layer.scheme, columns);
  if (columns % groupSize !== 0)
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `The group size ${groupSize} does not divide the ${columns} inputs of "${layer.name}". Sizes that do: ${fittingGroupSizes(columns, groupSize).join(', ')}.`,
      { tensor: layer.name },
    );
  await checkFinite(backend, layer);
}

/**
 * {@link checkAffineLayer} for a block type.
 *
 * @throws CalibrantError `SHAPE_MISMATCH` naming the tensor and the block size, or `NON_FINITE` with the number of bad values.
 */
export async function checkBlockLayer(backend: Backend, layer: LinearLayer<BlockScheme>): Promise<void> {
  checkMatrix(layer);
  const { name, weight, scheme } = layer;
  if (weight.shape[1] % scheme.blockSize !== 0)
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `The blocks of ${scheme.type}, ${scheme.blockSize} inputs long, do not divide the ${weight.shape[1]} inputs of "${name}". Give this tensor a type with shorter blocks.`,
      { tensor: name },
    );
  await checkFinite(backend, layer);
}

type Weight = Pick<LinearLayer, 'name' | 'weight'>;

function checkMatrix({ name, weight }: Weight): void {
  if (weight.shape.length !== 2 || weight.dtype !== 'f32')
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `"${name}" must be an f32 matrix [out, in] to be quantized, found ${weight.dtype} [${weight.shape.join(', ')}].`,
      { tensor: name },
    );
}

async function checkFinite(backend: Backend, { name, weight }: Weight): Promise<void> {
  const [rows, columns] = weight.shape;
  if (rows === 0 || columns === 0) return;
  const ones = await backend.upload(tensor('f32', [1, columns], new Float32Array(columns).fill(1)));
  const { y } = backend.run(linear, { x: weight, w: ones }, {});
  try {
    // A row with a NaN or an infinity has no finite sum, so only the sums travel.
    if ((await backend.download(y)).data.every((sum) => Number.isFinite(Number(sum)))) return;
  } finally {
    backend.free(ones, y);
  }
  const values = (await backend.download(weight)).data as Float32Array;
  const bad = values.reduce((count, value) => count + (Number.isFinite(value) ? 0 : 1), 0);
  if (bad > 0)
    throw new CalibrantError(
      'NON_FINITE',
      `"${name}" holds ${bad} values that are NaN or infinite (first at element ${values.findIndex((value) => !Number.isFinite(value))}), which no grid can represent. Check the source checkpoint, or keep this tensor unquantized.`,
      { tensor: name },
    );
}

/** Up to eight divisors of `columns`, those nearest to the wanted size, in ascending order. */
function fittingGroupSizes(columns: number, wanted: number): number[] {
  const divisors = Array.from({ length: columns }, (_, i) => i + 1).filter((size) => columns % size === 0);
  const distance = (size: number) => Math.abs(Math.log(size / wanted));
  return divisors
    .sort((a, b) => distance(a) - distance(b))
    .slice(0, 8)
    .sort((a, b) => a - b);
}

/**
 * Fits a scheme's scales and zero points to a weight: to its whole range ({@link fitAffine}), or to the ranges that a calibrator chooses. The caller
 * frees them.
 */
export async function fitScheme(
  backend: Backend,
  weight: BufferHandle,
  scheme: AffineScheme,
  calibrator?: BoundCalibrator,
): Promise<AffineGrid> {
  const { bits, symmetric } = scheme;
  const [rows, columns] = weight.shape;
  if (scheme.granularity === 'tensor') {
    const one = await fitTensor(backend, await backend.download(weight), { bits, symmetric }, calibrator);
    return {
      scales: await backend.upload(tensor('f32', [rows, 1], new Float32Array(rows).fill(Number(one.scales.data[0] ?? 1)))),
      zeroPoints: await backend.upload(tensor('u8', [rows, 1], new Uint8Array(rows).fill(Number(one.zeroPoints.data[0] ?? 0)))),
    };
  }
  const attributes = { bits, symmetric, groupSize: schemeGroupSize(scheme, columns) };
  if (!calibrator) return backend.run(fitAffine, { w: weight }, attributes);
  const grid = await calibratedGrid(backend, weight, attributes, calibrator);
  return { scales: await backend.upload(grid.scales), zeroPoints: await backend.upload(grid.zeroPoints) };
}

/** One scale and zero point for a whole tensor: the grid of its values as one row. */
async function fitTensor(backend: Backend, whole: Tensor, form: GridForm, calibrator: BoundCalibrator | undefined) {
  const count = elementCount(whole.shape);
  const row = tensor('f32', [1, count], whole.data);
  const attributes = { ...form, groupSize: Math.max(1, count) };
  if (!calibrator || count === 0) return fitAffine.reference({ w: row }, attributes, { start: 0, end: 1 });
  return withBuffers(backend, async (track) => calibratedGrid(backend, track(await backend.upload(row)), attributes, calibrator));
}

async function calibratedGrid(backend: Backend, values: BufferHandle, attributes: FitAttributes, calibrator: BoundCalibrator) {
  const { lows, highs } = calibrator.ranges(backend, values, attributes);
  try {
    const [low, high] = await Promise.all([backend.download(lows), backend.download(highs)]);
    return gridOfRanges(low, high, attributes);
  } finally {
    backend.free(lows, highs);
  }
}

/** Rounds a weight to the nearest codes of a grid. The caller frees them. */
export function roundToGrid(
  backend: Backend,
  weight: BufferHandle,
  { scales, zeroPoints }: AffineGrid,
  scheme: AffineScheme,
): BufferHandle {
  const groupSize = Math.max(1, schemeGroupSize(scheme, weight.shape[1]));
  return backend.run(roundAffine, { w: weight, scales, zeroPoints }, { bits: scheme.bits, groupSize }).codes;
}

/** How rounded weights use their grid. */
export interface GridUse {
  /** Of the 2^bits codes, the part that occurs in the tensor. */
  readonly codesUsed: number;
  /** Entropy of the codes in bits; at most the width of the grid. */
  readonly codeEntropy: number;
  /** Part of the weights that lie beyond the first or last code by more than rounding. */
  readonly clippedShare: number;
}

/** Counts how weights use the grid that they were rounded to, whose groups are contiguous. */
export async function measureGridUse(
  backend: Backend,
  { weight, scheme }: Pick<LinearLayer, 'weight' | 'scheme'>,
  { codes, scales, zeroPoints }: AffineGrid & { readonly codes: BufferHandle },
): Promise<GridUse> {
  const groupSize = Math.max(1, schemeGroupSize(scheme, weight.shape[1]));
  const use = backend.run(gridUse, { w: weight, codes, scales, zeroPoints }, { bits: scheme.bits, groupSize });
  try {
    const [counts, clipped] = await Promise.all([backend.download(use.counts), backend.download(use.clipped)]);
    const total = Math.max(1, elementCount(weight.shape));
    const perCode = new Float64Array(2 ** scheme.bits);
    counts.data.forEach((count, i) => {
      perCode[i % perCode.length] += Number(count);
    });
    const parts = perCode.filter((count) => count > 0).map((count) => count / total);
    return {
      codesUsed: parts.length / perCode.length,
      codeEntropy: parts.reduce((sum, part) => sum - part * Math.log2(part), 0),
      clippedShare: (clipped.data as Int32Array).reduce((sum, count) => sum + count, 0) / total,
    };
  } finally {
    backend.free(use.counts, use.clipped);
  }
}

/** Puts downloaded codes and their grid `[out, groups]` together; a grid per tensor shrinks to `[1, 1]`. */
export function affineTensor(
  scheme: AffineScheme,
  { codes, scales, zeroPoints }: { readonly codes: Tensor; readonly scales: Tensor; readonly zeroPoints: Tensor },
  groupIndex?: Int32Array,
): AffineTensor {
  const single = scheme.granularity === 'tensor';
  return {
    kind: 'affine',
    scheme,
    shape: codes.shape,
    codes: codes.data as Uint8Array,
    scales: single ? tensor('f32', [1, 1], scales.data.slice(0, 1)) : scales,
    zeroPoints: single ? tensor('u8', [1, 1], zeroPoints.data.slice(0, 1)) : zeroPoints,
    ...(groupIndex ? { groupIndex } : {}),
  };
}

/**
 * The f32 values `[out, in]` that an affine tensor stands for: `scale · (code − zeroPoint)`. Plain TypeScript, for tests and small tensors;
 * {@link dequantizeAffine} does it on a backend.
 */
export function affineValues({ shape, scheme, codes, scales, zeroPoints, groupIndex }: AffineTensor): Tensor {
  const [rows, columns] = shape;
  const groupSize = schemeGroupSize(scheme, columns);
  const groups = groupIndex ? scales.shape[1] : groupsPerRow(columns, Math.max(1, groupSize));
  const values = tensor('f32', [rows, columns]);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) {
      const group = groupIndex ? groupIndex[c] : Math.floor(c / groupSize);
      const at = scheme.granularity === 'tensor' ? 0 : r * groups + group;
      values.data[r * columns + c] = Number(scales.data[at]) * (codes[r * columns + c] - Number(zeroPoints.data[at]));
    }
  return values;
}
