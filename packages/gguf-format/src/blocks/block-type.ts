import { type BlockScheme, CalibrantError, defineKernel, describeSpec, type Tensor, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/** One way of storing rows in a GGUF file: `blockSize` elements become `blockBytes` bytes. */
export interface BlockType {
  /** ggml's name: `Q4_K`. */
  readonly name: string;
  /** ggml's number of the type in tensor descriptions. */
  readonly id: number;
  /** Elements per block; rows hold a whole number of blocks. */
  readonly blockSize: number;
  readonly blockBytes: number;
  /** There is no encoding without importance. */
  readonly needsImportance: boolean;
  /** f32 rows `[rows, columns]` (and importance `[columns]`) to bytes `[rows, columns / blockSize · blockBytes]`. */
  readonly encode: BlockScheme['encode'];
  readonly decode: BlockScheme['decode'];
}

export interface EncoderDefinition extends Pick<BlockType, 'name' | 'blockSize' | 'blockBytes'> {
  readonly needsImportance?: boolean;
  /** Encodes one row. Every operation rounds to f32, in ggml's order. */
  readonly encodeRow: (x: Float32Array, importance: Float32Array | undefined, out: Uint8Array) => void;
  /** The exports `encode<suffix>` and `decode<suffix>` of the WebAssembly module. */
  readonly wasmSuffix: string;
}

export interface BlockTypeDefinition extends EncoderDefinition {
  readonly id: number;
  readonly decodeRow: (bytes: Uint8Array, out: Float32Array) => void;
}

/** Elements of one unit of work: enough to hide the cost of handing it to a worker. */
const CHUNK_ELEMENTS = 65536;
const chunkRows = (columns: number): number => Math.max(1, Math.floor(CHUNK_ELEMENTS / Math.max(1, columns)));

/** Makes the kernel of an encoder. */
export function defineEncoder(definition: EncoderDefinition): BlockType['encode'] {
  const { name, blockSize, blockBytes, needsImportance, encodeRow, wasmSuffix } = definition;
  return defineKernel({
    name: `gguf.encode${wasmSuffix}`,
    inputs: { x: { role: 'rows' }, importance: { role: 'whole', optional: true } },
    outputs: { blocks: { role: 'rows' } },
    chunkRows: ({ x }) => chunkRows(x.shape[1]),
    infer({ x, importance }) {
      if (x.dtype !== 'f32' || x.shape.length !== 2 || x.shape[1] % blockSize !== 0)
        throw new CalibrantError(
          'SHAPE_MISMATCH',
          `${name}: the rows to encode must be f32 [rows, columns] with columns a multiple of ${blockSize}, found ${describeSpec(x)}.`,
        );
      if (importance && (importance.dtype !== 'f32' || importance.shape.length !== 1 || importance.shape[0] !== x.shape[1]))
        throw new CalibrantError(
          'SHAPE_MISMATCH',
          `${name}: the importance of ${describeSpec(x)} must be f32 [${x.shape[1]}], found ${describeSpec(importance)}.`,
        );
      if (needsImportance && !importance)
        throw new CalibrantError(
          'INVALID_ARGUMENT',
          `${name} has no encoding without importance. Give an importance matrix, or choose another type.`,
        );
      return { blocks: { dtype: 'u8', shape: [x.shape[0], (x.shape[1] / blockSize) * blockBytes] } };
    },
    reference({ x, importance }: { x: Tensor; importance?: Tensor }) {
      const [count, columns] = x.shape;
      const rowBytes = (columns / blockSize) * blockBytes;
      const blocks = new Uint8Array(count * rowBytes);
      for (let r = 0; r < count; r++)
        encodeRow(
          (x.data as Float32Array).subarray(r * columns, (r + 1) * columns),
          importance?.data as Float32Array | undefined,
          blocks.subarray(r * rowBytes, (r + 1) * rowBytes),
        );
      return { blocks: tensor('u8', [count, rowBytes], blocks) };
    },
    wasm: { module: wasmModule, function: `encode${wasmSuffix}`, scalars: ({ x }) => [x?.shape[1] ?? 0] },
  });
}

/** Makes a block type with its two kernels. */
export function defineBlockType(definition: BlockTypeDefinition): BlockType {
  const { name, id, blockSize, blockBytes, needsImportance = false, decodeRow, wasmSuffix } = definition;
  const encode = defineEncoder(definition);
  const decode: BlockType['decode'] = defineKernel({
    name: `gguf.decode${wasmSuffix}`,
    inputs: { blocks: { role: 'rows' } },
    outputs: { x: { role: 'rows' } },
    chunkRows: ({ blocks }) => chunkRows((blocks.shape[1] / blockBytes) * blockSize),
    infer({ blocks }) {
      if (blocks.dtype !== 'u8' || blocks.shape.length !== 2 || blocks.shape[1] % blockBytes !== 0)
        throw new CalibrantError(
          'SHAPE_MISMATCH',
          `${name}: the blocks to decode must be u8 [rows, bytes] with bytes a multiple of ${blockBytes}, found ${describeSpec(blocks)}.`,
        );
      return { x: { dtype: 'f32', shape: [blocks.shape[0], (blocks.shape[1] / blockBytes) * blockSize] } };
    },
    reference({ blocks }) {
      const [count, rowBytes] = blocks.shape;
      const columns = (rowBytes / blockBytes) * blockSize;
      const x = new Float32Array(count * columns);
      for (let r = 0; r < count; r++)
        decodeRow((blocks.data as Uint8Array).subarray(r * rowBytes, (r + 1) * rowBytes), x.subarray(r * columns, (r + 1) * columns));
      return { x: tensor('f32', [count, columns], x) };
    },
    wasm: {
      module: wasmModule,
      function: `decode${wasmSuffix}`,
      scalars: ({ blocks }) => [((blocks?.shape[1] ?? 0) / blockBytes) * blockSize],
    },
  });
  return Object.freeze({ name, id, blockSize, blockBytes, needsImportance, encode, decode });
}
