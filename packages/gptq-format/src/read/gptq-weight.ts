import { type CodedWeight, columnsOf, transposed, unpackRows } from '@calibrant/checkpoint';
import {
  type AffineScheme,
  type AffineTensor,
  type Backend,
  CalibrantError,
  type Checkpoint,
  rows,
  type Tensor,
  tensor,
  toF32,
} from '@calibrant/core';
import { checkParts, type GptqParts } from './parts.js';

export interface GptqWeightSource {
  readonly checkpoint: Checkpoint;
  readonly backend: Backend;
  /** Reads a whole tensor, the last one from memory. */
  readonly whole: (name: string) => Promise<Tensor>;
  readonly symmetric: boolean;
  readonly groupSize: number | undefined;
  /** What is added to stored zero points: 1 in v1. */
  readonly zeroOffset: number;
}

/**
 * Opens the weight of one module.
 *
 * @throws CalibrantError `CORRUPT_FILE` when its parts are missing or do not fit each other.
 */
export async function openGptqWeight(module: string, source: GptqWeightSource): Promise<CodedWeight> {
  const { checkpoint, backend, whole, symmetric } = source;
  const parts = checkParts(checkpoint, module, source.groupSize);
  const { bits, shape, groups, groupSize, qweight, qzeros, scales } = parts;
  const [out, columns] = shape;
  const groupIndex = await readOrder(checkpoint, parts);
  const channel = groups === 1 && groupSize >= columns;
  const scheme: AffineScheme = channel
    ? { kind: 'affine', bits, granularity: 'channel', symmetric }
    : { kind: 'affine', bits, granularity: 'group', groupSize, symmetric };
  return {
    info: {
      name: `${module}.weight`,
      dtype: 'f32',
      shape,
      storage: `gptq int${bits}`,
      coded: { scheme, scaleDtype: scales.dtype, ...(groupIndex ? { ordered: true } : {}) },
      bytes: parts.all.reduce((sum, { bytes }) => sum + bytes, 0),
      file: qweight.file,
    },
    async readCoded(start, end): Promise<AffineTensor> {
      const every = start === 0 && end === out;
      const words = columnsOf(every ? await checkpoint.read(qweight.name) : await whole(qweight.name), start, end);
      const codes = await unpackRows(backend, await transposed(backend, words), bits, columns);
      const steps = await transposed(backend, columnsOf(await checkpoint.read(scales.name), start, end));
      const stored = await unpackRows(backend, await checkpoint.read(qzeros.name), bits, out);
      const zeroPoints = rows(await transposed(backend, stored), start, end);
      return {
        kind: 'affine',
        scheme,
        shape: [end - start, columns],
        codes: codes.data as Uint8Array,
        scales: tensor('f32', steps.shape, toF32(steps)),
        zeroPoints: plus(zeroPoints, source.zeroOffset, bits),
        ...(groupIndex ? { groupIndex } : {}),
      };
    },
  };
}

/** The group of each input, when groups are not contiguous. */
async function readOrder(checkpoint: Checkpoint, { order, groups, groupSize }: GptqParts): Promise<Int32Array | undefined> {
  if (!order) return undefined;
  const index = Int32Array.from((await checkpoint.read(order.name)).data as Int32Array, Number);
  if (index.some((group) => group < 0 || group >= groups))
    throw new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: ${order.name} names a group beyond ${groups - 1}.`, {
      file: order.file,
      tensor: order.name,
    });
  return index.every((group, i) => group === Math.floor(i / groupSize)) ? undefined : index;
}

/** A stored 2^bits − 1 in v1 is a wrapped zero. */
function plus(stored: Tensor, offset: number, bits: number): Tensor {
  if (offset === 0) return stored;
  const mask = 2 ** bits - 1;
  return { ...stored, data: (stored.data as Uint8Array).map((zero) => (zero + offset) & mask) };
}
