import { type CodedWeight, columnsOf, transposed } from '@calibrant/checkpoint';
import {
  type AffineScheme,
  type AffineTensor,
  type Backend,
  CalibrantError,
  type Checkpoint,
  rows,
  type Tensor,
  type TensorInfo,
  tensor,
  toF32,
} from '@calibrant/core';
import { unpackNibbles } from '../nibbles.js';
import type { AwqSettings } from './settings.js';

/** Eight zero points of 8: symmetric grids are stored so. */
const EIGHTS = 0x88888888 | 0;

export const PART_NAMES = ['qweight', 'qzeros', 'scales'];

export interface AwqWeightSource {
  readonly checkpoint: Checkpoint;
  readonly backend: Backend;
  /** Reads a whole tensor, the last one from memory. */
  readonly whole: (name: string) => Promise<Tensor>;
  readonly settings: AwqSettings;
}

/**
 * Opens the weight of one module.
 *
 * @throws CalibrantError `CORRUPT_FILE` when its parts are missing or do not fit each other.
 */
export async function openAwqWeight(module: string, { checkpoint, backend, whole, settings }: AwqWeightSource): Promise<CodedWeight> {
  const { qweight, qzeros, scales, shape, groups } = checkParts(checkpoint, module, settings);
  const [out, columns] = shape;
  const symmetric = !qzeros || (await checkpoint.read(qzeros.name)).data.every((word: number | bigint) => word === EIGHTS);
  const grid = { kind: 'affine', bits: 4, symmetric } as const;
  const scheme: AffineScheme =
    groups === 1 && settings.groupSize !== columns
      ? { ...grid, granularity: 'channel' }
      : { ...grid, granularity: 'group', groupSize: columns / groups };
  return {
    info: {
      name: `${module}.weight`,
      dtype: 'f32',
      shape,
      storage: 'awq int4',
      coded: { scheme, scaleDtype: scales.dtype },
      bytes: [qweight, ...(qzeros ? [qzeros] : []), scales].reduce((sum, { bytes }) => sum + bytes, 0),
      file: qweight.file,
    },
    async readCoded(start, end): Promise<AffineTensor> {
      const every = start === 0 && end === out;
      // Eight rows share a word.
      const [first, last] = [Math.floor(start / 8), Math.ceil(end / 8)];
      const within = (codes: Tensor) => rows(codes, start - first * 8, end - first * 8);
      const words = columnsOf(every ? await checkpoint.read(qweight.name) : await whole(qweight.name), first, last);
      const codes = within(await unpackNibbles(backend, words));
      const steps = await transposed(backend, columnsOf(await checkpoint.read(scales.name), start, end));
      const zeroPoints = qzeros
        ? within(await unpackNibbles(backend, columnsOf(await checkpoint.read(qzeros.name), first, last)))
        : tensor('u8', steps.shape, new Uint8Array(steps.data.length).fill(8));
      return {
        kind: 'affine',
        scheme,
        shape: [end - start, columns],
        codes: codes.data as Uint8Array,
        scales: tensor('f32', steps.shape, toF32(steps)),
        zeroPoints,
      };
    },
  };
}

/** `qweight [in, out / 8]`, `qzeros [groups, out / 8]` (absent in some symmetric files), `scales [groups, out]`. */
function checkParts(checkpoint: Checkpoint, module: string, { groupSize }: AwqSettings) {
  const [qweight, qzeros, scales] = PART_NAMES.map((part) => checkpoint.tensors.get(`${module}.${part}`));
  const corrupt = (what: string): CalibrantError =>
    new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: ${module} is not an AWQ (GEMM) layer: ${what}.`, {
      tensor: `${module}.qweight`,
      ...(qweight ? { file: qweight.file } : {}),
    });
  const described = ({ name, dtype, shape }: TensorInfo) => `${name.slice(module.length + 1)} ${dtype} [${shape.join(', ')}]`;
  if (!qweight || !scales) throw corrupt('qweight and scales must be there');
  for (const part of [qweight, qzeros])
    if (part && (part.dtype !== 'i32' || part.shape.length !== 2)) throw corrupt(`expected an i32 matrix, found ${described(part)}`);
  if (!['f16', 'bf16', 'f32'].includes(scales.dtype) || scales.shape.length !== 2)
    throw corrupt(`expected a matrix of floats, found ${described(scales)}`);
  const [groups, out] = scales.shape;
  const columns = qweight.shape[0];
  const zerosFit = !qzeros || (qzeros.shape[0] === groups && qzeros.shape[1] * 8 === out);
  if (qweight.shape[1] * 8 !== out || !zerosFit || groups < 1 || columns % groups !== 0)
    throw corrupt(
      `the sizes of ${[qweight, ...(qzeros ? [qzeros] : []), scales].map(described).join(', ')} do not fit each other (qweight [in, out / 8], qzeros [groups, out / 8], scales [groups, out])`,
    );
  if (groupSize !== undefined && groupSize > 0 && columns / groups !== groupSize)
    throw corrupt(`the config says groups of ${groupSize}, and ${columns} inputs with ${groups} groups make groups of ${columns / groups}`);
  return { qweight, qzeros, scales, shape: [out, columns] as const, groups };
}
