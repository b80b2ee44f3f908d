import { type BlockIntegers, CalibrantError, defineKernel, describeSpec, type Tensor, tensor } from '@calibrant/core';
import type { BlockTypeName } from '../blocks/block-types.js';
import { writeHalf } from '../blocks/half.js';
import { wasmModule } from '../generated/wasm.js';

const SIZE = 32;

/** Q4_0 and Q8_0 are symmetric integer grids with a half scale for each block of 32: codes of other formats go in as they are. */
export function blockIntegers(name: BlockTypeName): BlockIntegers | undefined {
  return name === 'Q4_0' ? Q4_0 : name === 'Q8_0' ? Q8_0 : undefined;
}

const Q4_0 = defineIntegers('Q4_0', 4, 18, (codes, out) => {
  for (let j = 0; j < 16; j++) out[2 + j] = codes[j] | (codes[j + 16] << 4);
});

const Q8_0 = defineIntegers('Q8_0', 8, 34, (codes, out) => {
  for (let j = 0; j < SIZE; j++) out[2 + j] = codes[j] ^ 0x80;
});

function defineIntegers(
  name: string,
  bits: 4 | 8,
  blockBytes: number,
  write: (codes: Uint8Array, block: Uint8Array) => void,
): BlockIntegers {
  const pack: BlockIntegers['pack'] = defineKernel({
    name: `gguf.pack${name}`,
    inputs: { codes: { role: 'rows' }, scales: { role: 'rows' } },
    outputs: { blocks: { role: 'rows' } },
    chunkRows: () => 64,
    infer({ codes, scales }) {
      const fits = codes.dtype === 'u8' && scales.dtype === 'f32' && codes.shape[1] === scales.shape[1] * SIZE;
      if (!fits || codes.shape[0] !== scales.shape[0])
        throw new CalibrantError(
          'SHAPE_MISMATCH',
          `${name}: codes must be u8 [rows, columns] and scales f32 [rows, columns / ${SIZE}], found ${describeSpec(codes)} and ${describeSpec(scales)}.`,
        );
      return { blocks: { dtype: 'u8', shape: [codes.shape[0], scales.shape[1] * blockBytes] } };
    },
    reference({ codes, scales }: { codes: Tensor; scales: Tensor }) {
      const blocks = new Uint8Array(scales.data.length * blockBytes);
      for (let b = 0; b < scales.data.length; b++) {
        const block = blocks.subarray(b * blockBytes, (b + 1) * blockBytes);
        writeHalf(block, 0, Number(scales.data[b]));
        write((codes.data as Uint8Array).subarray(b * SIZE, (b + 1) * SIZE), block);
      }
      return { blocks: tensor('u8', [codes.shape[0], scales.shape[1] * blockBytes], blocks) };
    },
    wasm: { module: wasmModule, function: `pack${name}`, scalars: ({ codes }) => [codes?.shape[1] ?? 0] },
  });
  return { bits, pack };
}
