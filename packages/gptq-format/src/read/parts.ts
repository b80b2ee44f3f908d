import { type AffineScheme, CalibrantError, type Checkpoint, elementCount, type TensorInfo } from '@calibrant/core';

/** The tensors of one module, found to fit each other. */
export interface GptqParts {
  readonly qweight: TensorInfo;
  readonly qzeros: TensorInfo;
  readonly scales: TensorInfo;
  readonly order?: TensorInfo;
  readonly all: readonly TensorInfo[];
  readonly bits: AffineScheme['bits'];
  /** `[out, in]` */
  readonly shape: readonly [number, number];
  readonly groups: number;
  readonly groupSize: number;
}

export const PART_NAMES = ['qweight', 'qzeros', 'scales', 'g_idx'];

/**
 * Width and sizes follow from the shapes: `qweight [in · bits / 32, out]`, `qzeros [groups, out · bits / 32]`, `scales [groups, out]`.
 *
 * @param groupSize what the config says
 * @throws CalibrantError `CORRUPT_FILE` naming the module, what was expected and what was found.
 */
export function checkParts(checkpoint: Checkpoint, module: string, groupSize?: number): GptqParts {
  const [qweight, qzeros, scales, order] = PART_NAMES.map((part) => checkpoint.tensors.get(`${module}.${part}`));
  const corrupt = (what: string): CalibrantError =>
    new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: ${module} is not a GPTQ layer: ${what}.`, {
      tensor: `${module}.qweight`,
      ...(qweight ? { file: qweight.file } : {}),
    });
  const described = ({ name, dtype, shape }: TensorInfo) => `${name.slice(module.length + 1)} ${dtype} [${shape.join(', ')}]`;
  if (!qweight || !qzeros || !scales) throw corrupt('qweight, qzeros and scales must all be there');
  for (const part of [qweight, qzeros])
    if (part.dtype !== 'i32' || part.shape.length !== 2) throw corrupt(`expected an i32 matrix, found ${described(part)}`);
  if (!['f16', 'bf16', 'f32'].includes(scales.dtype) || scales.shape.length !== 2)
    throw corrupt(`expected a matrix of floats, found ${described(scales)}`);
  const [groups, out] = scales.shape;
  const bits = (qzeros.shape[1] * 32) / out;
  if (qweight.shape[1] !== out || qzeros.shape[0] !== groups || groups < 1 || ![2, 3, 4, 8].includes(bits))
    throw corrupt(`the sizes of ${described(qweight)}, ${described(qzeros)} and ${described(scales)} do not fit each other`);
  const columns = (qweight.shape[0] * 32) / bits;
  if (!Number.isInteger(columns)) throw corrupt(`${described(qweight)} holds no whole number of ${bits}-bit codes`);
  if (order && (elementCount(order.shape) !== columns || (order.dtype !== 'i32' && order.dtype !== 'i64')))
    throw corrupt(`expected g_idx i32 [${columns}], found ${described(order)}`);
  // Groups of one size, unless the config's size makes as many with a shorter last one.
  const size = groupSize !== undefined && Math.ceil(columns / groupSize) === groups ? groupSize : columns / groups;
  if (!Number.isInteger(size)) throw corrupt(`its ${columns} inputs do not make ${groups} groups of ${groupSize ?? 'one size'}`);
  const all = [qweight, qzeros, scales, ...(order ? [order] : [])];
  const common = { qweight, qzeros, scales, ...(order ? { order } : {}), all };
  return { ...common, bits: bits as AffineScheme['bits'], shape: [out, columns], groups, groupSize: size };
}
