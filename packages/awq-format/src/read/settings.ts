import { CalibrantError, type Checkpoint } from '@calibrant/core';

/** What an AWQ folder says about its layers. */
export interface AwqSettings {
  /** Inputs per group; −1 for one scale per row. */
  readonly groupSize?: number;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads the settings from config.json, or from AutoAWQ's `quant_config.json` (`quantize_config.json`) where config.json has none. Undefined for a folder that
 * is not AWQ.
 *
 * @throws CalibrantError `UNSUPPORTED` for layouts other than GEMM and widths other than 4.
 */
export async function readSettings(checkpoint: Checkpoint): Promise<AwqSettings | undefined> {
  const settings = await findSettings(checkpoint);
  if (!settings) return undefined;
  const version = String(settings.version ?? 'gemm').toLowerCase();
  const bits = settings.bits ?? settings.w_bit ?? 4;
  if (version !== 'gemm' || bits !== 4)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${checkpoint.name} is AWQ in the layout "${version}" with ${bits} bits; "gemm" with 4 bits can be read. Take the model in this layout, or start from the unquantized one.`,
      { file: 'config.json' },
    );
  const groupSize = settings.group_size ?? settings.q_group_size;
  return typeof groupSize === 'number' ? { groupSize } : {};
}

async function findSettings(checkpoint: Checkpoint): Promise<Json | undefined> {
  const inConfig = checkpoint.config.quantization_config as Json | undefined;
  if (inConfig) {
    if (inConfig.quant_method === 'awq') return inConfig;
    const packing = String(inConfig.packing_format ?? '');
    return inConfig.quant_method === 'auto-round' && packing.includes('awq') ? { ...inConfig, version: 'gemm' } : undefined;
  }
  if (![...checkpoint.tensors.keys()].some((name) => name.endsWith('.qweight'))) return undefined;
  for (const file of ['quant_config.json', 'quantize_config.json']) {
    const text = await checkpoint.text(file);
    if (text === undefined) continue;
    try {
      const settings = JSON.parse(text) as Json;
      if ('w_bit' in settings || settings.quant_method === 'awq') return settings;
    } catch (cause) {
      throw new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: ${file} is not valid JSON. Download it again.`, { file, cause });
    }
  }
  return undefined;
}
