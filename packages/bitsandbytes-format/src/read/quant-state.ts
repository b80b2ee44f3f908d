import { CalibrantError, type Checkpoint, type TensorInfo } from '@calibrant/core';
import { z } from 'zod';
import { BLOCK_SIZES, type FourBitForm } from '../grids/four-bit.js';
import { NESTED_BLOCK } from '../nested.js';

/** What `weight.quant_state.bitsandbytes__*` says. */
export interface QuantState extends FourBitForm {
  readonly shape: readonly [number, number];
  /** What was subtracted from the magnitudes before they were rounded to 8 bits. */
  readonly offset: number;
}

const stored = z.object({
  quant_type: z.string(),
  blocksize: z.number(),
  shape: z.array(z.number().int().positive()).length(2),
  nested_blocksize: z.number().optional(),
  nested_offset: z.number().optional(),
});

/** More than any state of two dimensions can take. */
const MAX_BYTES = 65536;

/**
 * Reads and checks the state of a 4-bit weight, a JSON text in a tensor of bytes.
 *
 * @throws CalibrantError `CORRUPT_FILE` for a text that is no state, `UNSUPPORTED` for types and block sizes that bitsandbytes does not have.
 */
export async function readQuantState(checkpoint: Checkpoint, info: TensorInfo): Promise<QuantState> {
  const fault = (code: 'CORRUPT_FILE' | 'UNSUPPORTED', what: string, cause?: unknown) =>
    new CalibrantError(code, `${checkpoint.name}: ${info.name} ${what}.`, {
      tensor: info.name,
      file: info.file,
      ...(cause ? { cause } : {}),
    });
  if (info.dtype !== 'u8' || info.shape.length !== 1 || info.shape[0] > MAX_BYTES)
    throw fault('CORRUPT_FILE', `must be a JSON text as u8 [bytes], found ${info.dtype} [${info.shape.join(', ')}]`);
  const state = stored.safeParse(await parsed(checkpoint, info, fault));
  if (!state.success)
    throw fault(
      'CORRUPT_FILE',
      `is not the state of a 4-bit matrix: ${state.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`).join('; ')}`,
    );
  const { quant_type, blocksize, shape, nested_blocksize, nested_offset } = state.data;
  if (quant_type !== 'nf4' && quant_type !== 'fp4') throw fault('UNSUPPORTED', `names the type "${quant_type}"; nf4 and fp4 can be read`);
  const blockSize = BLOCK_SIZES.find((size) => size === blocksize);
  if (blockSize === undefined) throw fault('UNSUPPORTED', `names blocks of ${blocksize}; ${BLOCK_SIZES.join(', ')} can be read`);
  const doubleQuant = nested_blocksize !== undefined;
  if (doubleQuant && (nested_blocksize !== NESTED_BLOCK || nested_offset === undefined))
    throw fault(
      'UNSUPPORTED',
      `rounds magnitudes in blocks of ${nested_blocksize} with the offset ${nested_offset}; blocks of ${NESTED_BLOCK} with an offset can be read`,
    );
  return { quantType: quant_type, blockSize, doubleQuant, shape: [shape[0], shape[1]], offset: Math.fround(nested_offset ?? 0) };
}

async function parsed(
  checkpoint: Checkpoint,
  info: TensorInfo,
  fault: (code: 'CORRUPT_FILE', what: string, cause?: unknown) => Error,
): Promise<unknown> {
  const { data } = await checkpoint.read(info.name);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data as Uint8Array));
  } catch (cause) {
    throw fault('CORRUPT_FILE', 'is not a JSON text', cause);
  }
}
