import { type BlockScheme, CalibrantError, defineKernel, describeSpec, type TensorSpec, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/** Rows of blocks: `blockSize` weights become `blockBytes` bytes. */
export interface RowCodec {
  readonly name: string;
  readonly blockSize: number;
  readonly blockBytes: number;
  readonly encodeBlock: (x: Float32Array, out: Uint8Array) => void;
  readonly decodeBlock: (block: Uint8Array, out: Float32Array) => void;
  /** The exports `encode<suffix>` and `decode<suffix>` of the WebAssembly module, and what they take besides the columns. */
  readonly wasmSuffix: string;
  readonly scalars?: readonly number[];
}

/** Elements of one unit of work. */
const CHUNK_ELEMENTS = 65536;
const chunkRows = (columns: number): number => Math.max(1, Math.floor(CHUNK_ELEMENTS / Math.max(1, columns)));

export function encoder(codec: RowCodec): BlockScheme['encode'] {
  const { name, blockSize, blockBytes, encodeBlock, wasmSuffix, scalars = [] } = codec;
  return defineKernel({
    name: `bitsandbytes.encode.${name}`,
    inputs: { x: { role: 'rows' }, importance: { role: 'whole', optional: true } },
    outputs: { blocks: { role: 'rows' } },
    chunkRows: ({ x }) => chunkRows(x.shape[1]),
    infer({ x }) {
      if (x.dtype !== 'f32' || x.shape.length !== 2 || x.shape[1] % blockSize !== 0)
        throw new CalibrantError(
          'SHAPE_MISMATCH',
          `${name}: the rows to encode must be f32 [rows, columns] with columns a multiple of ${blockSize}, found ${describeSpec(x)}.`,
        );
      return { blocks: { dtype: 'u8', shape: [x.shape[0], (x.shape[1] / blockSize) * blockBytes] } };
    },
    reference({ x }) {
      const blocks = tensor('u8', [x.shape[0], (x.shape[1] / blockSize) * blockBytes]);
      for (let b = 0; b * blockSize < x.data.length; b++)
        encodeBlock(
          (x.data as Float32Array).subarray(b * blockSize, (b + 1) * blockSize),
          (blocks.data as Uint8Array).subarray(b * blockBytes, (b + 1) * blockBytes),
        );
      return { blocks };
    },
    wasm: { module: wasmModule, function: `encode${wasmSuffix}`, scalars: ({ x }) => [x?.shape[1] ?? 0, ...scalars] },
  });
}

export function decoder(codec: RowCodec): BlockScheme['decode'] {
  const { blockSize, blockBytes, decodeBlock, name, wasmSuffix, scalars = [] } = codec;
  return defineKernel({
    name: `bitsandbytes.decode.${name}`,
    inputs: { blocks: { role: 'rows' } },
    outputs: { x: { role: 'rows' } },
    chunkRows: ({ blocks }) => chunkRows((blocks.shape[1] / blockBytes) * blockSize),
    infer: ({ blocks }) => ({ x: { dtype: 'f32', shape: [blocks.shape[0], blocksPerRow(codec, blocks) * blockSize] } }),
    reference({ blocks }) {
      const x = tensor('f32', [blocks.shape[0], blocksPerRow(codec, blocks) * blockSize]);
      for (let b = 0; b * blockSize < x.data.length; b++)
        decodeBlock(
          (blocks.data as Uint8Array).subarray(b * blockBytes, (b + 1) * blockBytes),
          (x.data as Float32Array).subarray(b * blockSize, (b + 1) * blockSize),
        );
      return { x };
    },
    wasm: {
      module: wasmModule,
      function: `decode${wasmSuffix}`,
      scalars: ({ blocks }) => [((blocks?.shape[1] ?? 0) / blockBytes) * blockSize, ...scalars],
    },
  });
}

/** @throws CalibrantError `SHAPE_MISMATCH` for what is no run of whole blocks. */
function blocksPerRow({ name, blockBytes }: Pick<RowCodec, 'name' | 'blockBytes'>, blocks: TensorSpec): number {
  if (blocks.dtype !== 'u8' || blocks.shape.length !== 2 || blocks.shape[1] % blockBytes !== 0)
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `${name}: encoded rows must be u8 [rows, bytes] with bytes a multiple of ${blockBytes}, found ${describeSpec(blocks)}.`,
    );
  return blocks.shape[1] / blockBytes;
}
