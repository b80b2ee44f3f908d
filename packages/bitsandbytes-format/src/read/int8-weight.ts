import type { CodedWeight } from '@calibrant/checkpoint';
import { type AffineScheme, type AffineTensor, CalibrantError, type Checkpoint, tensor } from '@calibrant/core';
import { flipSigns } from '../signed-codes.js';

const SCHEME: AffineScheme = { kind: 'affine', bits: 8, granularity: 'channel', symmetric: true };

/**
 * Opens a weight of LLM.int8(): `weight` i8 `[out, in]` and `SCB` f32 `[out]`, the rows' largest magnitudes, with `w = weight · SCB / 127`. Its grid is
 * `int8-channel-sym` with scales `SCB / 127` in f32.
 *
 * @throws CalibrantError `CORRUPT_FILE` when parts are missing or do not fit, `UNSUPPORTED` for weights laid out for one kind of GPU.
 */
export async function openInt8Weight(module: string, checkpoint: Checkpoint): Promise<CodedWeight> {
  const name = `${module}.weight`;
  const [weight, magnitudes, layout] = [name, `${module}.SCB`, `${module}.weight_format`].map((part) => checkpoint.tensors.get(part));
  const fault = (code: 'CORRUPT_FILE' | 'UNSUPPORTED', what: string) =>
    new CalibrantError(code, `${checkpoint.name}: ${name} is not an LLM.int8() weight of bitsandbytes that can be read: ${what}.`, {
      tensor: name,
      ...(weight ? { file: weight.file } : {}),
    });
  if (!weight || !magnitudes)
    throw fault('CORRUPT_FILE', `${weight ? "SCB (the rows' magnitudes)" : 'the tensor of its codes'} is missing`);
  const [rows, columns] = weight.shape;
  if (
    weight.dtype !== 'i8' ||
    weight.shape.length !== 2 ||
    magnitudes.dtype !== 'f32' ||
    magnitudes.shape.length !== 1 ||
    magnitudes.shape[0] !== rows
  )
    throw fault(
      'CORRUPT_FILE',
      `expected weight i8 [out, in] and SCB f32 [out], found ${weight.dtype} [${weight.shape.join(', ')}] and ${magnitudes.dtype} [${magnitudes.shape.join(', ')}]`,
    );
  if (layout && Number((await checkpoint.read(layout.name)).data[0]) !== 0)
    throw fault('UNSUPPORTED', 'its weight_format is not "row" (0). Save the model with bitsandbytes 0.45 or newer, which writes rows');
  return {
    info: {
      name,
      dtype: 'f32',
      shape: [rows, columns],
      storage: 'bitsandbytes llm-int8',
      coded: { scheme: SCHEME, scaleDtype: 'f32' },
      bytes: weight.bytes + magnitudes.bytes + (layout?.bytes ?? 0),
      file: weight.file,
    },
    async readCoded(start, end): Promise<AffineTensor> {
      const { data } = await checkpoint.read(name, { start, end });
      const absmax = (await checkpoint.read(magnitudes.name, { start, end })).data as Float32Array;
      const count = end - start;
      return {
        kind: 'affine',
        scheme: SCHEME,
        shape: [count, columns],
        codes: flipSigns(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
        scales: tensor(
          'f32',
          [count, 1],
          absmax.map((value) => value / 127),
        ),
        zeroPoints: tensor('u8', [count, 1], new Uint8Array(count).fill(128)),
      };
    },
  };
}
