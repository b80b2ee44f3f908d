import { CalibrantError } from './errors.js';
import { defineKernel } from './kernel.js';
import type { BlockGrid } from './scheme.js';
import { describeSpec, type TensorSpec, tensor } from './tensor.js';

/** How the codes of a block type choose its values. */
export interface BlockGridDefinition {
  /** Of the block type, with its format: `gguf.Q4_0`. */
  readonly name: string;
  readonly blockSize: number;
  readonly blockBytes: number;
  readonly groupSize: number;
  /** Ascending, in units of the scale. */
  readonly levels: readonly number[];
  /** Reads the scale and the offset of each group of one block, each rounded to f32. */
  readonly readSteps: (block: Uint8Array, scales: Float32Array, offsets: Float32Array) => void;
  /** Writes the codes of one block over those that it holds. */
  readonly writeCodes: (codes: Uint8Array, block: Uint8Array) => void;
}

/** Makes the grid of a block type with its two kernels: what lets a method such as GPTQ choose the codes. */
export function defineBlockGrid(definition: BlockGridDefinition): BlockGrid {
  const { name, blockSize, blockBytes, groupSize, levels, readSteps, writeCodes } = definition;
  const groupsPerBlock = blockSize / groupSize;
  const blocksPerRow = (blocks: TensorSpec): number => {
    if (blocks.dtype !== 'u8' || blocks.shape.length !== 2 || blocks.shape[1] % blockBytes !== 0)
      throw new CalibrantError(
        'SHAPE_MISMATCH',
        `${name}: encoded rows must be u8 [rows, bytes] with bytes a multiple of ${blockBytes}, found ${describeSpec(blocks)}.`,
      );
    return blocks.shape[1] / blockBytes;
  };
  const steps: BlockGrid['steps'] = defineKernel({
    name: `${name}.steps`,
    inputs: { blocks: { role: 'rows' } },
    outputs: { scales: { role: 'rows' }, offsets: { role: 'rows' } },
    infer({ blocks }) {
      const shape = [blocks.shape[0], blocksPerRow(blocks) * groupsPerBlock];
      return { scales: { dtype: 'f32', shape }, offsets: { dtype: 'f32', shape } };
    },
    reference({ blocks }) {
      const count = blocks.shape[0] * blocksPerRow(blocks);
      const scales = new Float32Array(count * groupsPerBlock);
      const offsets = new Float32Array(count * groupsPerBlock);
      for (let b = 0; b < count; b++) {
        const [from, to] = [b * groupsPerBlock, (b + 1) * groupsPerBlock];
        const block = (blocks.data as Uint8Array).subarray(b * blockBytes, (b + 1) * blockBytes);
        readSteps(block, scales.subarray(from, to), offsets.subarray(from, to));
      }
      const shape = [blocks.shape[0], blocksPerRow(blocks) * groupsPerBlock];
      return { scales: tensor('f32', shape, scales), offsets: tensor('f32', shape, offsets) };
    },
  });
  const replaceCodes: BlockGrid['replaceCodes'] = defineKernel({
    name: `${name}.replaceCodes`,
    inputs: { blocks: { role: 'rows' }, codes: { role: 'rows' } },
    outputs: { recoded: { role: 'rows' } },
    infer({ blocks, codes }) {
      const columns = blocksPerRow(blocks) * blockSize;
      if (codes.dtype !== 'u8' || codes.shape.length !== 2 || codes.shape[0] !== blocks.shape[0] || codes.shape[1] !== columns)
        throw new CalibrantError(
          'SHAPE_MISMATCH',
          `${name}: the codes of ${describeSpec(blocks)} must be u8 [${blocks.shape[0]}, ${columns}], found ${describeSpec(codes)}.`,
        );
      return { recoded: blocks };
    },
    reference({ blocks, codes }) {
      const recoded = new Uint8Array(blocks.data as Uint8Array);
      for (let b = 0; b * blockBytes < recoded.length; b++)
        writeCodes(
          (codes.data as Uint8Array).subarray(b * blockSize, (b + 1) * blockSize),
          recoded.subarray(b * blockBytes, (b + 1) * blockBytes),
        );
      return { recoded: tensor('u8', blocks.shape, recoded) };
    },
  });
  return Object.freeze({ groupSize, levels: Object.freeze([...levels]), steps, replaceCodes });
}
