import { type Backend, type BufferHandle, withBuffers } from './backend.js';
import { CalibrantError } from './errors.js';
import { E4M3_MAX } from './ops/fake-quantize.js';
import { dequantizeMinifloat, groupMagnitudes, roundMinifloat } from './ops/minifloat.js';
import type { MinifloatScheme, MinifloatTensor } from './scheme.js';
import { type Tensor, tensor } from './tensor.js';

/** DeepSeek's block. */
const BLOCK = [128, 128] as const;

/**
 * Reads the name of an 8-bit float grid: `fp8-tensor`, `fp8-channel` (also `fp8`), `fp8-block` (128 × 128). Undefined when the name is not of this form.
 */
export function parseMinifloatScheme(name: string): MinifloatScheme | undefined {
  const match = /^fp8(?:[_-]e4m3)?(?:-(tensor|channel|block))?$/i.exec(name);
  if (!match) return undefined;
  const granularity = (match[1]?.toLowerCase() ?? 'channel') as MinifloatScheme['granularity'];
  return { kind: 'minifloat', dtype: 'f8_e4m3', granularity, ...(granularity === 'block' ? { blockShape: BLOCK } : {}) };
}

/** The name of an 8-bit float grid, the inverse of {@link parseMinifloatScheme}. */
export function minifloatSchemeName({ granularity }: MinifloatScheme): string {
  return `fp8-${granularity}`;
}

/** Shape of the scales of a weight `[out, in]`: `[1, 1]`, `[out, 1]`, or one for each block, the last ones shorter. */
export function minifloatScaleShape({ granularity, blockShape }: MinifloatScheme, [out, columns]: readonly number[]): [number, number] {
  if (granularity === 'tensor') return [1, 1];
  const [rows, width] = blockShape ?? [1, columns];
  return granularity === 'channel' ? [out, 1] : [Math.ceil(out / rows), Math.ceil(columns / width)];
}

/** Rounds a weight f32 `[out, in]` to E4M3 with `scale = absmax / 448` (1 where all is zero). The caller keeps the weight. */
export async function encodeMinifloat(backend: Backend, weight: BufferHandle, scheme: MinifloatScheme): Promise<MinifloatTensor> {
  const [out, columns] = weight.shape;
  const groupSize = groupSizeOf(scheme, columns);
  const scales = tensor('f32', minifloatScaleShape(scheme, weight.shape));
  return withBuffers(backend, async (track) => {
    const { magnitudes } = backend.run(groupMagnitudes, { w: weight }, { groupSize });
    const { data, shape } = await backend.download(track(magnitudes));
    const rowOf = gridRow(scheme);
    const width = shape[1];
    for (let r = 0; r < out; r++)
      for (let g = 0; g < width; g++) {
        const at = rowOf(r) * width + g;
        scales.data[at] = Math.max(Number(scales.data[at]), Number(data[r * width + g]));
      }
    (scales.data as Float32Array).forEach((largest, i, all) => {
      const scale = Math.fround(largest / E4M3_MAX);
      all[i] = scale > 0 ? scale : 1;
    });
    const spread = track(await backend.upload(onRows(scales, scheme, 0, out)));
    const { codes } = backend.run(roundMinifloat, { w: weight, scales: spread }, { groupSize });
    return { kind: 'minifloat', scheme, shape: weight.shape, codes: (await backend.download(track(codes))).data as Uint8Array, scales };
  });
}

/** The f32 values of E4M3 codes. `firstRow` says where in the weight the codes begin, of which `scales` are those of the whole. */
export async function decodeMinifloat(
  backend: Backend,
  { scheme, shape, codes, scales, firstRow = 0 }: MinifloatTensor,
): Promise<BufferHandle> {
  const [rows, columns] = shape;
  const needed = scheme.granularity === 'tensor' ? 1 : gridRow(scheme)(firstRow + rows - 1) + 1;
  if (rows > 0 && scales.shape[0] < needed)
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `Codes of rows ${firstRow} to ${firstRow + rows} have only ${scales.shape[0]} rows of scales.`,
    );
  return withBuffers(backend, async (track) => {
    const inputs = {
      codes: track(await backend.upload(tensor('u8', shape, codes))),
      scales: track(await backend.upload(onRows(scales, scheme, firstRow, firstRow + rows))),
    };
    return backend.run(dequantizeMinifloat, inputs, { groupSize: groupSizeOf(scheme, columns) }).w;
  });
}

function groupSizeOf({ granularity, blockShape }: MinifloatScheme, columns: number): number {
  return granularity === 'block' && blockShape ? blockShape[1] : Math.max(1, columns);
}

/** The row of scales that a row of the weight uses. */
function gridRow({ granularity, blockShape }: MinifloatScheme): (row: number) => number {
  if (granularity === 'tensor') return () => 0;
  const rows = granularity === 'block' && blockShape ? blockShape[0] : 1;
  return (row) => Math.floor(row / rows);
}

/** Scales of the rows `[start, end)`, one line for each. */
function onRows(scales: Tensor, scheme: MinifloatScheme, start: number, end: number): Tensor {
  const width = scales.shape[1];
  const rowOf = gridRow(scheme);
  const spread = tensor('f32', [end - start, width]);
  for (let r = start; r < end; r++)
    (spread.data as Float32Array).set(
      (scales.data as Float32Array).subarray(rowOf(r) * width, (rowOf(r) + 1) * width),
      (r - start) * width,
    );
  return spread;
}
