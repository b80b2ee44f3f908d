import { type CodedWeight, unpackColumns, unpackRows, wordsFor } from '@calibrant/checkpoint';
import {
  type AffineScheme,
  type AffineTensor,
  type Backend,
  CalibrantError,
  type Checkpoint,
  groupsPerRow,
  rows,
  schemeGroupSize,
  type Tensor,
  type TensorInfo,
  tensor,
  toF32,
} from '@calibrant/core';

/**
 * Opens the weight of one module.
 *
 * @throws CalibrantError `CORRUPT_FILE` when its parts are missing or do not fit each other.
 */
export async function openPackedWeight(
  checkpoint: Checkpoint,
  module: string,
  scheme: AffineScheme,
  backend: Backend,
): Promise<CodedWeight> {
  const { bits, granularity, symmetric } = scheme;
  const part = (suffix: string): TensorInfo | undefined => checkpoint.tensors.get(`${module}.${suffix}`);
  const corrupt = (what: string): CalibrantError =>
    new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: ${module} is not a pack-quantized int${bits} layer: ${what}.`, {
      tensor: `${module}.weight_packed`,
    });
  const packed = part('weight_packed');
  const scale = part('weight_scale');
  const zero = part('weight_zero_point');
  const order = part('weight_g_idx');
  if (!packed || !scale || !part('weight_shape')) throw corrupt('weight_packed, weight_scale and weight_shape must all be there');
  if (!symmetric && !zero) throw corrupt('weight_zero_point is missing although the grid is asymmetric');

  const [out, columns] = Array.from((await checkpoint.read(`${module}.weight_shape`)).data, Number);
  const padded = Math.floor(32 / bits);
  const dense = packed.shape[1] === wordsFor(columns, bits);
  if (packed.dtype !== 'i32' || packed.shape.length !== 2 || packed.shape[0] !== out)
    throw corrupt(`weight_packed must be i32 with ${out} rows, found ${packed.dtype} [${packed.shape.join(', ')}]`);
  if (!dense && packed.shape[1] !== Math.ceil(columns / padded))
    throw corrupt(`${columns} codes take ${wordsFor(columns, bits)} words a row, found ${packed.shape[1]}`);
  const perWord = dense ? undefined : padded;
  const groupSize = schemeGroupSize(scheme, columns);
  const groups = granularity === 'group' ? groupsPerRow(columns, groupSize) : 1;
  const scales = scale.shape.reduce((product, size) => product * size, 1);
  if (scales !== (granularity === 'tensor' ? 1 : out * groups))
    throw corrupt(`weight_scale must hold ${granularity === 'tensor' ? 1 : out * groups} values, found [${scale.shape.join(', ')}]`);

  const index = order ? await readOrder(checkpoint, order, groups, corrupt) : undefined;
  const scaleShape = [granularity === 'tensor' ? 1 : out, groups];
  const middle = 2 ** (bits - 1);

  async function zeroPoints(): Promise<Tensor> {
    if (symmetric || !zero) return tensor('u8', scaleShape, new Uint8Array(scales).fill(middle));
    const stored = await checkpoint.read(zero.name);
    if (stored.dtype === 'i32' && granularity !== 'tensor') return unpackColumns(backend, stored, bits, out, perWord);
    return tensor(
      'u8',
      scaleShape,
      Uint8Array.from(stored.data as Int8Array, (value) => Number(value) + middle),
    );
  }

  const parts = [packed, scale, ...(zero ? [zero] : []), ...(order ? [order] : [])];
  return {
    info: {
      name: `${module}.weight`,
      dtype: 'f32',
      shape: [out, columns],
      storage: `pack-quantized int${bits}`,
      coded: { scheme, scaleDtype: scale.dtype, ...(index ? { ordered: true } : {}) },
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
      file: packed.file,
    },
    async readCoded(start, end): Promise<AffineTensor> {
      const words = await checkpoint.read(packed.name, { start, end });
      const codes = await unpackRows(backend, words, bits, columns, perWord);
      const steps = toF32(await checkpoint.read(scale.name));
      const ofRows = (grid: Tensor) => (granularity === 'tensor' ? grid : rows(grid, start, end));
      return {
        kind: 'affine',
        scheme,
        shape: [end - start, columns],
        codes: codes.data as Uint8Array,
        scales: ofRows(tensor('f32', scaleShape, steps)),
        zeroPoints: ofRows(await zeroPoints()),
        ...(index ? { groupIndex: index } : {}),
      };
    },
  };
}

/** The group of each input; −1 everywhere stands for contiguous groups. */
async function readOrder(
  checkpoint: Checkpoint,
  { name, shape }: TensorInfo,
  groups: number,
  corrupt: (what: string) => CalibrantError,
): Promise<Int32Array | undefined> {
  const index = Int32Array.from((await checkpoint.read(name)).data as Int32Array, Number);
  if (index.every((group) => group === -1)) return undefined;
  if (index.some((group) => group < 0 || group >= groups))
    throw corrupt(`weight_g_idx [${shape.join(', ')}] names a group beyond ${groups - 1}`);
  return index;
}
