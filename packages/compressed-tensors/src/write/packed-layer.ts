import {
  type AffineScheme,
  type AffineTensor,
  CalibrantError,
  dtypeInfo,
  elementCount,
  type Tensor,
  type TypedArray,
  toDtype,
  toF32,
} from '@calibrant/core';
import { packColumns, packRows } from '../bits.js';
import type { SafetensorsFile } from './safetensors-file.js';
import type { StoredPart, StoredTensor } from './stored-parts.js';

/** Writes a quantized linear layer, which arrives in ranges of its rows. Keeps the zero points, which are packed across rows. */
export interface PackedLayer {
  write(rowStart: number, value: AffineTensor): Promise<void>;
  /** Whether the layer has a `weight_g_idx`. */
  readonly ordered: boolean;
}

export function packedLayer({ planned, parts, groupIndex }: StoredTensor, file: SafetensorsFile): PackedLayer {
  const scheme = planned.scheme as AffineScheme;
  const { bits } = scheme;
  const [out, columns] = planned.shape;
  const [packed, scale, shape] = parts;
  const zeroPoint: StoredPart | undefined = parts[3];
  const perTensor = scheme.granularity === 'tensor';
  const groups = perTensor ? 1 : scale.shape[1];
  const zeroPoints = new Uint8Array(perTensor ? 1 : out * groups);
  let rowsSeen = 0;
  let ordered = false;

  async function writeOnce(value: AffineTensor): Promise<void> {
    await file.write(shape, 0, bytesOf(BigInt64Array.of(BigInt(out), BigInt(columns))));
    if (groupIndex && value.groupIndex) {
      ordered = true;
      await file.append(groupIndex, bytesOf(value.groupIndex));
    }
  }

  return {
    get ordered() {
      return ordered;
    },
    async write(rowStart, value) {
      const rows = value.shape[0];
      if (rowsSeen === 0) await writeOnce(value);
      rowsSeen += rows;
      const codes = packRows(value.codes, columns, bits);
      await file.write(packed, rowStart * packed.shape[1] * 4, codes);
      if (!perTensor || rowStart === 0) {
        const scales = storedScales(value.scales, scale, planned.name);
        await file.write(scale, perTensor ? 0 : rowStart * groups * dtypeInfo(scale.dtype).bytes, bytesOf(scales.data));
        zeroPoints.set(value.zeroPoints.data as Uint8Array, perTensor ? 0 : rowStart * groups);
      }
      if (zeroPoint && rowsSeen === out) {
        // The format's codes are signed: ours minus 2^(bits−1); packed words add the same offset again.
        const words = perTensor ? Int8Array.of(zeroPoints[0] - 2 ** (bits - 1)) : packColumns(zeroPoints, groups, bits);
        await file.write(zeroPoint, 0, bytesOf(words));
      }
    },
  };
}

/** @throws CalibrantError `NUMERICAL` when a scale is beyond the range of its stored type. */
function storedScales(scales: Tensor, { dtype }: StoredPart, name: string): Tensor {
  const stored = toDtype(scales, dtype);
  const lost = toF32(stored).findIndex((value) => !Number.isFinite(value));
  if (lost >= 0)
    throw new CalibrantError(
      'NUMERICAL',
      `The scale ${toF32(scales)[lost]} of ${name} is beyond the range of ${dtype}. Store scales in a wider type: the format's option scaleDtype "bf16" or "f32".`,
      { tensor: name, option: 'format.scaleDtype', index: lost, count: elementCount(scales.shape) },
    );
  return stored;
}

export function bytesOf(data: TypedArray): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
