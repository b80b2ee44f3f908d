import { type Backend, type BufferHandle, withBuffers } from './backend.js';
import { decodeMinifloat } from './minifloat.js';
import { dequantizeAffine, schemeGroupSize } from './ops/affine.js';
import type { AffineTensor, BlockTensor, MinifloatTensor } from './scheme.js';
import { type Tensor, tensor } from './tensor.js';

/** The weights that codes stand for, f32 `[out, in]`, visible to all lanes. The caller frees them. */
export async function decodeTensor(coded: AffineTensor | BlockTensor | MinifloatTensor, backend: Backend): Promise<BufferHandle> {
  if (coded.kind === 'affine') return decodeAffine(coded, backend);
  if (coded.kind === 'minifloat') return decodeMinifloat(backend, coded);
  const { scheme, shape, bytes } = coded;
  const blocks = await backend.upload(tensor('u8', [shape[0], bytes.length / shape[0]], bytes));
  const { x } = backend.run(scheme.decode, { blocks }, {});
  backend.free(blocks);
  return x;
}

function decodeAffine({ codes, shape, scales, zeroPoints, scheme, groupIndex }: AffineTensor, backend: Backend): Promise<BufferHandle> {
  return withBuffers(backend, async (track) => {
    const index = groupIndex ? track(await backend.upload(tensor('i32', [groupIndex.length], groupIndex))) : undefined;
    const inputs = {
      codes: track(await backend.upload(tensor('u8', shape, codes))),
      scales: track(await backend.upload(onEachRow(scales, shape[0]))),
      zeroPoints: track(await backend.upload(onEachRow(zeroPoints, shape[0]))),
      ...(index ? { groupIndex: index } : {}),
    };
    return backend.run(dequantizeAffine, inputs, { groupSize: schemeGroupSize(scheme, shape[1]) }).w;
  });
}

/** One scale per tensor is the same grid on every row. */
function onEachRow(grid: Tensor, rows: number): Tensor {
  if (grid.shape[0] === rows) return grid;
  const wide = tensor(grid.dtype, [rows, 1]);
  wide.data.fill(grid.data[0] as never);
  return wide;
}
