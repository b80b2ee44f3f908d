import { linearModule, type NamedTensorSpec, type StoredWeight } from '@calibrant/checkpoint';
import { type AffineTensor, type BlockTensor, type PlannedTensor, type QuantizedTensor, tensor } from '@calibrant/core';
import { flipSigns } from '../signed-codes.js';
import type { WeightInput } from './weight-input.js';

/**
 * How an 8-bit weight `[out, in]` is stored: `weight` i8, `SCB` f32 `[out]` with `w = weight · SCB / 127`, and `weight_format` 0, rows.
 *
 * @throws CalibrantError `UNSUPPORTED` for what is no linear layer's weight.
 */
export function int8Weight(planned: PlannedTensor, { facts }: WeightInput): StoredWeight {
  const module = linearModule(planned, facts, 'bitsandbytes');
  const weight: NamedTensorSpec = { name: planned.name, dtype: 'i8', shape: planned.shape };
  const magnitudes: NamedTensorSpec = { name: `${module}.SCB`, dtype: 'f32', shape: [planned.shape[0]] };
  const layout: NamedTensorSpec = { name: `${module}.weight_format`, dtype: 'u8', shape: [] };
  let rowsLeft = planned.shape[0];
  return {
    parts: [weight, magnitudes, layout],
    async write(rowStart, value, to) {
      const { codes, absmax } = value.kind === 'block' ? ofRows(value) : ofGrid(value);
      await to.write(weight.name, tensor('i8', value.shape, codes), rowStart);
      await to.write(magnitudes.name, tensor('f32', [absmax.length], absmax), rowStart);
      rowsLeft -= value.shape[0];
      if (rowsLeft === 0) await to.write(layout.name, tensor('u8', [], Uint8Array.of(0)));
    },
  };
}

interface SignedRows {
  readonly codes: Int8Array;
  readonly absmax: Float32Array;
}

/** Rows of the block type: a magnitude in f32, then the codes. */
function ofRows({ bytes, shape }: BlockTensor): SignedRows {
  const [rows, columns] = shape;
  const [codes, absmax] = [new Int8Array(rows * columns), new Float32Array(rows)];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let r = 0; r < rows; r++) {
    const at = r * (columns + 4);
    absmax[r] = view.getFloat32(at, true);
    codes.set(new Int8Array(bytes.buffer, bytes.byteOffset + at + 4, columns), r * columns);
  }
  return { codes, absmax };
}

/** A symmetric integer grid: its codes around 128, its scales times 127. */
function ofGrid(value: QuantizedTensor): SignedRows {
  const { codes, scales } = value as AffineTensor;
  const signed = flipSigns(codes);
  return {
    codes: new Int8Array(signed.buffer, signed.byteOffset, signed.length),
    absmax: Float32Array.from(scales.data as Float32Array, magnitudeOf),
  };
}

const f = Math.fround;

/** The f32 whose 127th part is the scale, where there is one; 127 times the scale rounded may be its neighbour. */
function magnitudeOf(scale: number): number {
  const product = f(scale * 127);
  const step = 2 ** -23;
  return [product, f(product * (1 + step)), f(product * (1 - step))].find((value) => f(value / 127) === scale) ?? product;
}
