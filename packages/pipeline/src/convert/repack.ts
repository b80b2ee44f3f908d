import {
  type AffineTensor,
  type Backend,
  type BlockScheme,
  type BlockTensor,
  CalibrantError,
  type Checkpoint,
  type FormatWriter,
  type PlannedTensor,
  type QuantizedTensor,
  type Tensor,
  tensor,
  withBuffers,
} from '@calibrant/core';
import { sortRows } from '../run/ordered-rows.js';
import { sourcesOf } from './plan-conversion.js';

/** Writes a tensor whose codes go over as they are, source by source. */
export async function repack(checkpoint: Checkpoint, planned: PlannedTensor, writer: FormatWriter, backend: Backend): Promise<void> {
  const sources = sourcesOf(planned);
  const rows = planned.shape.slice(0, -1).reduce((product, size) => product * size, 1) / sources.length;
  for (const [index, name] of sources.entries()) {
    const coded = await checkpoint.readCoded?.(name);
    const { scheme } = planned;
    if (coded?.kind === 'block' && scheme.kind === 'block' && coded.scheme.decode.name === scheme.decode.name) {
      await writer.write(planned, { rowStart: index * rows, value: { ...coded, scheme } });
      continue;
    }
    if (!coded || coded.kind === 'float' || coded.kind === 'block')
      throw new CalibrantError('NOT_FOUND', `${checkpoint.name} gives no codes for ${name}.`, { tensor: name });
    const value: QuantizedTensor = scheme.kind === 'block' ? await intoBlocks(coded as AffineTensor, planned, scheme, backend) : coded;
    await writer.write(planned, { rowStart: index * rows, value });
  }
}

/** Codes of an integer grid as blocks, rows in the order of the output. */
async function intoBlocks(
  coded: AffineTensor,
  { rowOrder, shape }: PlannedTensor,
  scheme: BlockScheme,
  backend: Backend,
): Promise<BlockTensor> {
  const [rows, columns] = coded.shape;
  if (!scheme.integers) throw new CalibrantError('UNSUPPORTED', `${scheme.type} holds no plain integers.`);
  checkSymmetric(coded);
  const ordered = (value: Tensor) => (rowOrder ? sortRows(value, rowOrder, value.shape[1]) : value);
  const { pack } = scheme.integers;
  const blocks = await withBuffers(backend, async (track) => {
    const codes = track(await backend.upload(ordered(tensor('u8', [rows, columns], coded.codes))));
    const [zeroPoints, scales] = await Promise.all(
      [coded.zeroPoints, coded.scales].map(async (ofGroups) =>
        track(await backend.upload(ordered(perBlock(ofGroups, coded, scheme.blockSize)))),
      ),
    );
    return backend.download(track(backend.run(pack, { codes, zeroPoints, scales }, {}).blocks));
  });
  const kept = shape.length === 2 ? shape[0] : rows;
  return { kind: 'block', scheme, shape: [kept, columns], bytes: (blocks.data as Uint8Array).subarray(0, kept * blocks.shape[1]) };
}

/** What was planned for a symmetric grid holds codes around the middle alone. */
function checkSymmetric({ scheme, zeroPoints }: AffineTensor): void {
  const middle = 2 ** (scheme.bits - 1);
  if (scheme.symmetric && (zeroPoints.data as Uint8Array).some((zero) => zero !== middle))
    throw new CalibrantError(
      'CORRUPT_FILE',
      `A tensor that is called symmetric has zero points other than ${middle}. Convert it with --allow-lossy.`,
    );
}

/** `[rows, columns / blockSize]`: each group's scale or zero point for all of its blocks. */
function perBlock(ofGroups: Tensor, { shape, scheme }: AffineTensor, blockSize: number): Tensor {
  const [rows, columns] = shape;
  const width = columns / blockSize;
  const groups = scheme.granularity === 'tensor' ? 0 : ofGroups.shape[1];
  const spread = tensor(ofGroups.dtype, [rows, width]);
  const [from, to] = [ofGroups.data, spread.data] as Float32Array[];
  for (let r = 0; r < rows; r++)
    for (let b = 0; b < width; b++) to[r * width + b] = from[r * groups + (groups <= 1 ? 0 : Math.floor((b * groups) / width))];
  return spread;
}
