import { packBits as pack, unpackBits as unpack } from '../bits.js';
import { CalibrantError } from '../errors.js';
import { defineKernel } from '../kernel.js';
import { tensor } from '../tensor.js';
import { expectDtype, expectShape } from './check.js';

function expectBits(operation: string, bits: number): void {
  if (!(Number.isInteger(bits) && bits >= 1 && bits <= 8))
    throw new CalibrantError('INVALID_ARGUMENT', `${operation}: codes have 1 to 8 bits, found ${bits}.`);
}

/** Packs each row of codes LSB first into a little-endian bitstream, `[rows, ceil(columns · bits / 8)]` bytes. */
export const packBits = defineKernel<'codes', 'packed', { readonly bits: number }>({
  name: 'core.packBits',
  inputs: { codes: { role: 'rows' } },
  outputs: { packed: { role: 'rows' } },
  chunkRows: () => 256,
  infer({ codes }, { bits }) {
    expectShape('packBits', 'codes', codes, [undefined, undefined]);
    expectDtype('packBits', 'codes', codes, 'u8');
    expectBits('packBits', bits);
    return { packed: { dtype: 'u8', shape: [codes.shape[0], Math.ceil((codes.shape[1] * bits) / 8)] } };
  },
  reference({ codes }, { bits }) {
    const [count, columns] = codes.shape;
    const width = Math.ceil((columns * bits) / 8);
    const packed = tensor('u8', [count, width]);
    for (let r = 0; r < count; r++)
      (packed.data as Uint8Array).set(pack((codes.data as Uint8Array).subarray(r * columns, (r + 1) * columns), bits), r * width);
    return { packed };
  },
});

/** The inverse of {@link packBits}; `columns` codes per row. */
export const unpackBits = defineKernel<'packed', 'codes', { readonly bits: number; readonly columns: number }>({
  name: 'core.unpackBits',
  inputs: { packed: { role: 'rows' } },
  outputs: { codes: { role: 'rows' } },
  chunkRows: () => 256,
  infer({ packed }, { bits, columns }) {
    expectShape('unpackBits', 'packed', packed, [undefined, undefined]);
    expectDtype('unpackBits', 'packed', packed, 'u8');
    expectBits('unpackBits', bits);
    if (packed.shape[1] !== Math.ceil((columns * bits) / 8))
      throw new CalibrantError(
        'SHAPE_MISMATCH',
        `unpackBits: ${columns} codes of ${bits} bits take ${Math.ceil((columns * bits) / 8)} bytes a row, found ${packed.shape[1]}.`,
      );
    return { codes: { dtype: 'u8', shape: [packed.shape[0], columns] } };
  },
  reference({ packed }, { bits, columns }) {
    const [count, width] = packed.shape;
    const codes = tensor('u8', [count, columns]);
    for (let r = 0; r < count; r++)
      (codes.data as Uint8Array).set(unpack((packed.data as Uint8Array).subarray(r * width, (r + 1) * width), bits, columns), r * columns);
    return { codes };
  },
});
