import { bitsandbytesFormat } from '@calibrant/bitsandbytes-format';
import { type Backend, type BlockTensor, type Checkpoint, type PlannedTensor, parseOptions, type Tensor, tensor } from '@calibrant/core';
import { formatInput, type MemoryFolder, memoryCheckpoint, memoryFolder } from '@calibrant/plugin-kit';
import { gridOf } from './golden.js';

export const MODULE = 'model.layers.0.mlp.up_proj';
export const NAME = `${MODULE}.weight`;
export const format = bitsandbytesFormat();

/** Encodes a weight and writes it as the one layer of a model, its rows in pieces that begin at `cuts`. */
export async function written(
  backend: Backend,
  x: Tensor,
  scheme: string,
  cuts: readonly number[] = [],
  options: object = {},
): Promise<MemoryFolder> {
  const [rows, columns] = x.shape;
  const grid = gridOf(scheme, columns);
  const input = formatInput(memoryCheckpoint(new Map([[NAME, tensor('f16', x.shape)]]), { torch_dtype: 'float16' }), [NAME]);
  const planned: PlannedTensor = { name: NAME, source: NAME, shape: x.shape, scheme: grid };
  const folder = memoryFolder();
  const writer = await format.open(input, [planned], folder, parseOptions(format.options, options, 'format'), { backend });
  const handle = await backend.upload(x);
  const { blocks } = backend.run(grid.encode, { x: handle }, {});
  const bytes = (await backend.download(blocks)).data as Uint8Array;
  backend.free(handle, blocks);
  const rowBytes = bytes.length / rows;
  const ends = [...cuts, rows];
  for (const [i, end] of ends.entries()) {
    const start = ends[i - 1] ?? 0;
    const value: BlockTensor = {
      kind: 'block',
      scheme: grid,
      shape: [end - start, columns],
      bytes: bytes.subarray(start * rowBytes, end * rowBytes),
    };
    await writer.write(planned, { rowStart: start, value });
  }
  await writer.finish();
  return folder;
}

/** What the reader makes of tensors and settings. */
export async function opened(
  backend: Backend,
  tensors: Map<string, Tensor>,
  quantization: object = { quant_method: 'bitsandbytes' },
): Promise<Checkpoint> {
  const found = await format.reader?.openFolder?.(memoryCheckpoint(tensors, { quantization_config: quantization }), { backend });
  if (!found) throw new Error('the folder was left to others');
  return found;
}
