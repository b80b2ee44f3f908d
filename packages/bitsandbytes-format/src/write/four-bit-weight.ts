import { linearModule, type NamedTensorSpec, type PartWriter, type StoredWeight } from '@calibrant/checkpoint';
import { type BlockTensor, CalibrantError, type PlannedTensor, tensor } from '@calibrant/core';
import { CODEBOOKS } from '../grids/codebooks.js';
import { BLOCK_SIZES, type FourBitForm, fourBitName } from '../grids/four-bit.js';
import { ABSMAX_BYTES } from '../grids/magnitude.js';
import { DYNAMIC_MAP, NESTED_BLOCK, nestMagnitudes } from '../nested.js';
import type { WeightInput } from './weight-input.js';

/**
 * How a 4-bit weight `[out, in]` is stored: codes u8 `[out · in / 2, 1]`, `absmax` f32 `[blocks]` (with double quantization u8, and `nested_absmax`
 * f32 `[blocks / 256]` and `nested_quant_map` f32 `[256]`), `quant_map` f32 `[16]`, and the state as a JSON text in bytes.
 *
 * @throws CalibrantError `UNSUPPORTED` for what is no linear layer's weight, and for rows that blocks do not divide.
 */
export function fourBitWeight(planned: PlannedTensor, form: FourBitForm, { facts, dtypeName }: WeightInput): StoredWeight {
  linearModule(planned, facts, 'bitsandbytes');
  const { name, shape } = planned;
  const [out, columns] = shape;
  const { blockSize, doubleQuant, quantType } = form;
  if (columns % blockSize !== 0) throw misfit(planned, form);
  const blocks = (out * columns) / blockSize;
  const state = stateText(form, shape, dtypeName(planned));
  const weight: NamedTensorSpec = { name, dtype: 'u8', shape: [(out * columns) / 2, 1] };
  const absmax: NamedTensorSpec = { name: `${name}.absmax`, dtype: doubleQuant ? 'u8' : 'f32', shape: [blocks] };
  const map: NamedTensorSpec = { name: `${name}.quant_map`, dtype: 'f32', shape: [16] };
  const nested: NamedTensorSpec = { name: `${name}.nested_absmax`, dtype: 'f32', shape: [Math.ceil(blocks / NESTED_BLOCK)] };
  const nestedMap: NamedTensorSpec = { name: `${name}.nested_quant_map`, dtype: 'f32', shape: [256] };
  const quantState: NamedTensorSpec = { name: `${name}.quant_state.bitsandbytes__${quantType}`, dtype: 'u8', shape: [state.length] };
  const magnitudes = new Float32Array(doubleQuant ? blocks : 0);
  let rowsLeft = out;

  async function writeState(to: PartWriter): Promise<void> {
    let offset: number | undefined;
    if (doubleQuant) {
      const rounded = nestMagnitudes(magnitudes);
      offset = rounded.offset;
      await to.write(absmax.name, rounded.codes);
      await to.write(nested.name, rounded.nested);
      await to.write(nestedMap.name, tensor('f32', [256], DYNAMIC_MAP));
    }
    await to.write(map.name, tensor('f32', [16], CODEBOOKS[quantType].values));
    await to.write(quantState.name, tensor('u8', quantState.shape, new TextEncoder().encode(state.text(offset))));
  }

  return {
    parts: [weight, absmax, map, ...(doubleQuant ? [nested, nestedMap] : []), quantState],
    async write(rowStart, value, to) {
      const { bytes, shape: part } = value as BlockTensor;
      const { codes, scales } = separate(bytes, blockSize);
      const firstBlock = (rowStart * columns) / blockSize;
      await to.write(name, tensor('u8', [codes.length, 1], codes), (rowStart * columns) / 2);
      if (doubleQuant) magnitudes.set(scales, firstBlock);
      else await to.write(absmax.name, tensor('f32', [scales.length], scales), firstBlock);
      rowsLeft -= part[0];
      if (rowsLeft === 0) await writeState(to);
    },
  };
}

/** The longest that a number becomes as text. */
const NUMBER_LENGTH = 24;

/** The state as Python writes it. Its length is known before the offset is: spaces fill it up, which readers of JSON skip. */
function stateText({ quantType, blockSize, doubleQuant }: FourBitForm, [out, columns]: readonly number[], dtype: string) {
  const start = `{"quant_type": "${quantType}", "blocksize": ${blockSize}, "dtype": "${dtype}", "shape": [${out}, ${columns}]`;
  const nested = doubleQuant ? `, "nested_blocksize": ${NESTED_BLOCK}, "nested_dtype": "float32", "nested_offset": ` : '';
  const length = start.length + nested.length + (doubleQuant ? NUMBER_LENGTH : 0) + 1;
  return { length, text: (offset: number | undefined) => `${start}${nested}${offset ?? ''}}`.padEnd(length) };
}

/** Blocks taken apart into codes and magnitudes. */
function separate(bytes: Uint8Array, blockSize: number): { readonly codes: Uint8Array; readonly scales: Float32Array } {
  const [half, stride] = [blockSize / 2, ABSMAX_BYTES + blockSize / 2];
  const count = bytes.length / stride;
  const [codes, scales] = [new Uint8Array(count * half), new Float32Array(count)];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let b = 0; b < count; b++) {
    scales[b] = view.getFloat32(b * stride, true);
    codes.set(bytes.subarray(b * stride + ABSMAX_BYTES, (b + 1) * stride), b * half);
  }
  return { codes, scales };
}

function misfit({ name, shape }: PlannedTensor, form: FourBitForm): CalibrantError {
  const fitting = BLOCK_SIZES.filter((size) => shape[1] % size === 0).map((blockSize) => fourBitName({ ...form, blockSize }));
  const remedy = fitting.length > 0 ? `Blocks that do: ${fitting.join(', ')} (recipe.overrides), or keep it` : 'Keep it';
  return new CalibrantError(
    'UNSUPPORTED',
    `${name} has rows of ${shape[1]}, which blocks of ${form.blockSize} (${fourBitName(form)}) do not divide. ${remedy} unquantized (recipe.keep).`,
    { tensor: name, option: 'recipe.scheme' },
  );
}
