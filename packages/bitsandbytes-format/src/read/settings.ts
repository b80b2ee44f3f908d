import { CalibrantError, type Checkpoint } from '@calibrant/core';

type Json = Readonly<Record<string, unknown>>;

/**
 * Whether a folder says that it was quantized by bitsandbytes: older ones name no method, but that they are to be loaded in 4 or 8 bits.
 *
 * @throws CalibrantError `UNSUPPORTED` for codes packed into other types than bytes.
 */
export function isBitsandbytes({ name, config }: Checkpoint): boolean {
  const settings = config.quantization_config as Json | undefined;
  if (!settings) return false;
  const method = settings.quant_method;
  const bits =
    settings.load_in_4bit === true || settings.load_in_8bit === true || settings._load_in_4bit === true || settings._load_in_8bit === true;
  if (method !== 'bitsandbytes' && !(method === undefined && bits)) return false;
  const storage = settings.bnb_4bit_quant_storage;
  if (typeof storage === 'string' && storage !== 'uint8' && storage !== 'int8')
    throw new CalibrantError(
      'UNSUPPORTED',
      `${name} packs its 4-bit codes as ${storage} (bnb_4bit_quant_storage), which only training with FSDP needs; uint8 can be read. Save the model with bnb_4bit_quant_storage="uint8".`,
      { file: 'config.json' },
    );
  return true;
}
