import { type BlockGrid, CalibrantError, defineKernel, describeSpec, tensor } from '@calibrant/core';
import { blocksPerRow, type RowCodec } from './row-kernels.js';

export interface GridOfBlocks extends Pick<RowCodec, 'name' | 'blockSize' | 'blockBytes'> {
  /** Ascending, in units of the scale. */
  readonly levels: readonly number[];
  /** The scale of a block whose largest magnitude is stored. */
  readonly scaleOf: (absmax: number) => number;
  /** Writes levels by their index over the codes of a block. */
  readonly writeLevels: (levels: Uint8Array, block: Uint8Array) => void;
}

/** What lets a method such as GPTQ choose the codes: the scales of encoded blocks, and the same blocks with other codes. Blocks begin with an f32 magnitude. */
export function gridOfBlocks(definition: GridOfBlocks): BlockGrid {
  const { name, blockSize, blockBytes, levels, scaleOf, writeLevels } = definition;
  return {
    groupSize: blockSize,
    levels,
    steps: defineKernel({
      name: `bitsandbytes.steps.${name}`,
      inputs: { blocks: { role: 'rows' } },
      outputs: { scales: { role: 'rows' }, offsets: { role: 'rows' } },
      infer({ blocks }) {
        const shape = [blocks.shape[0], blocksPerRow(definition, blocks)];
        return { scales: { dtype: 'f32', shape }, offsets: { dtype: 'f32', shape } };
      },
      reference({ blocks }) {
        const shape = [blocks.shape[0], blocksPerRow(definition, blocks)];
        const scales = tensor('f32', shape);
        const { buffer, byteOffset, byteLength } = blocks.data;
        const view = new DataView(buffer as ArrayBuffer, byteOffset, byteLength);
        for (let b = 0; b < scales.data.length; b++) scales.data[b] = scaleOf(view.getFloat32(b * blockBytes, true));
        return { scales, offsets: tensor('f32', shape) };
      },
    }),
    replaceCodes: defineKernel({
      name: `bitsandbytes.replaceCodes.${name}`,
      inputs: { blocks: { role: 'rows' }, codes: { role: 'rows' } },
      outputs: { recoded: { role: 'rows' } },
      infer({ blocks, codes }) {
        const columns = blocksPerRow(definition, blocks) * blockSize;
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
          writeLevels(
            (codes.data as Uint8Array).subarray(b * blockSize, (b + 1) * blockSize),
            recoded.subarray(b * blockBytes, (b + 1) * blockBytes),
          );
        return { recoded: tensor('u8', blocks.shape, recoded) };
      },
    }),
  };
}
