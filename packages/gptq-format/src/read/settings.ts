import { CalibrantError, type Checkpoint } from '@calibrant/core';

/** What a GPTQ folder says about all its layers. */
export interface GptqSettings {
  /** `gptq` (v1), `gptq_v2`; what the files hold may differ. */
  readonly version: 'gptq' | 'gptq_v2';
  /** The base grid's width, when the config says so and no layer may differ. */
  readonly bits?: number;
  symmetric(module: string): boolean;
  /** Inputs per group as the config has it, for layers whose last group is shorter. */
  groupSize(module: string): number | undefined;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads the settings from config.json, or from `quantize_config.json` where config.json has none. Undefined for a folder that is not GPTQ.
 *
 * @throws CalibrantError `UNSUPPORTED` for kernel-specific layouts.
 */
export async function readSettings(checkpoint: Checkpoint): Promise<GptqSettings | undefined> {
  const settings = await findSettings(checkpoint);
  if (!settings) return undefined;
  const layout = String(settings.checkpoint_format ?? settings.format ?? 'gptq');
  if (settings.is_marlin_format === true || !/^(auto_round:)?(auto_)?gptq(_v2)?$/.test(layout))
    throw new CalibrantError(
      'UNSUPPORTED',
      `${checkpoint.name} is GPTQ in the layout "${settings.is_marlin_format === true ? 'marlin' : layout}", made for one kernel; "gptq" and "gptq_v2" can be read. Take the model in one of these, or start from the unquantized one.`,
      { file: 'config.json' },
    );
  const rules = dynamicRules(settings.dynamic);
  const varied = rules.length > 0 || settings.extra_config !== undefined;
  const settingOf = (module: string, key: string) => rules.find(({ pattern }) => pattern.test(module))?.override[key] ?? settings[key];
  return {
    version: layout.endsWith('_v2') ? 'gptq_v2' : 'gptq',
    ...(typeof settings.bits === 'number' && !varied ? { bits: settings.bits } : {}),
    symmetric: (module) => settingOf(module, 'sym') !== false,
    groupSize(module) {
      const size = settingOf(module, 'group_size');
      return typeof size === 'number' && size > 0 ? size : undefined;
    },
  };
}

async function findSettings(checkpoint: Checkpoint): Promise<Json | undefined> {
  const inConfig = checkpoint.config.quantization_config as Json | undefined;
  if (inConfig) {
    if (inConfig.quant_method === 'gptq') return inConfig;
    const packing = String(inConfig.packing_format ?? '');
    return inConfig.quant_method === 'auto-round' && packing.includes('gptq') ? { ...inConfig, checkpoint_format: packing } : undefined;
  }
  if (![...checkpoint.tensors.keys()].some((name) => name.endsWith('.qweight'))) return undefined;
  const text = await checkpoint.text('quantize_config.json');
  if (text === undefined) return undefined;
  try {
    const settings = JSON.parse(text) as Json;
    return settings.quant_method === undefined || settings.quant_method === 'gptq' ? settings : undefined;
  } catch (cause) {
    throw new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: quantize_config.json is not valid JSON. Download it again.`, {
      file: 'quantize_config.json',
      cause,
    });
  }
}

/** The `dynamic` rules that override settings, by the pattern that module names begin with. */
function dynamicRules(dynamic: unknown): { readonly pattern: RegExp; readonly override: Json }[] {
  return Object.entries((dynamic ?? {}) as Json).flatMap(([key, override]) => {
    if (key.startsWith('-:')) return [];
    try {
      return [{ pattern: new RegExp(`^(?:${key.replace(/^\+:/, '')})`), override: (override ?? {}) as Json }];
    } catch {
      return [];
    }
  });
}
