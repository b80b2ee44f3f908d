import { type CodedWeight, codedFolder } from '@calibrant/checkpoint';
import { CalibrantError, type Checkpoint, type FormatContext } from '@calibrant/core';
import { openFourBitWeight } from './four-bit-weight.js';
import { openInt8Weight } from './int8-weight.js';
import { isBitsandbytes } from './settings.js';

const FOUR_BIT = /^(.+)\.weight\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\.bitsandbytes__\w+)$/;
const INT8 = /^(.+)\.(SCB|weight_format)$/;

/**
 * A folder of bitsandbytes as an ordinary checkpoint: each quantized layer appears as `X.weight` in f32. Undefined for any other checkpoint.
 *
 * @throws CalibrantError `UNSUPPORTED` for types, layouts and storage that cannot be read, `CORRUPT_FILE` for layers whose parts are missing or do not fit.
 */
export async function openBitsandbytesFolder(checkpoint: Checkpoint, { backend }: FormatContext): Promise<Checkpoint | undefined> {
  if (!isBitsandbytes(checkpoint)) return undefined;
  const parts = new Set<string>();
  const fourBit = new Map<string, string[]>();
  const int8 = new Set<string>();
  for (const name of checkpoint.tensors.keys()) {
    const four = FOUR_BIT.exec(name);
    const module = four?.[1] ?? INT8.exec(name)?.[1];
    if (module === undefined) continue;
    if (four) fourBit.set(module, [...(fourBit.get(module) ?? []), name]);
    else int8.add(module);
    parts.add(name).add(`${module}.weight`);
  }
  const weights: CodedWeight[] = [];
  for (const [module, names] of fourBit) weights.push(await openFourBitWeight(module, names, { checkpoint, backend }));
  for (const module of int8) weights.push(await openInt8Weight(module, checkpoint));
  checkNothingIsBare(checkpoint, parts);
  return codedFolder(checkpoint, { weights, parts, backend });
}

/** Codes without what they stand for would pass as weights. */
function checkNothingIsBare(checkpoint: Checkpoint, parts: ReadonlySet<string>): void {
  for (const { name, dtype, file } of checkpoint.tensors.values())
    if (name.endsWith('.weight') && !parts.has(name) && (dtype === 'u8' || dtype === 'i8'))
      throw new CalibrantError(
        'CORRUPT_FILE',
        `${checkpoint.name}: ${name} holds codes (${dtype}), and ${dtype === 'u8' ? `its quant_state (${name}.quant_state.bitsandbytes__nf4) and absmax are` : 'its row magnitudes (SCB) are'} missing. The file is incomplete, or was saved by a version of bitsandbytes before 0.41 that stores no 4-bit weights; quantize the model again.`,
        { tensor: name, file },
      );
}
