import { type CodedWeight, codedFolder } from '@calibrant/checkpoint';
import { CalibrantError, type Checkpoint, type FormatContext } from '@calibrant/core';
import { readConfigGroups } from './config-groups.js';
import { openPackedWeight } from './packed-weight.js';

const PARTS = ['weight_packed', 'weight_scale', 'weight_shape', 'weight_zero_point', 'weight_g_idx'];

/**
 * A checkpoint whose config names compressed-tensors, as an ordinary one: each packed layer appears as `X.weight` in f32. Undefined for any
 * other checkpoint.
 *
 * @throws CalibrantError `UNSUPPORTED` for formats other than pack-quantized, `CORRUPT_FILE` for layers whose parts do not fit.
 */
export async function openCompressedFolder(checkpoint: Checkpoint, { backend }: FormatContext): Promise<Checkpoint | undefined> {
  const { quantization_config: quantization } = checkpoint.config as { quantization_config?: Record<string, unknown> };
  if (quantization?.quant_method !== 'compressed-tensors') return undefined;
  if (quantization.format !== 'pack-quantized')
    throw new CalibrantError(
      'UNSUPPORTED',
      `${checkpoint.name} is compressed-tensors in the format "${quantization.format}"; "pack-quantized" can be read. Start from the unquantized model.`,
      { file: 'config.json' },
    );
  const schemeOf = readConfigGroups(quantization, checkpoint.name);
  const modules = [...checkpoint.tensors.keys()]
    .filter((name) => name.endsWith('.weight_packed'))
    .map((name) => name.slice(0, -'.weight_packed'.length));
  const weights: CodedWeight[] = [];
  for (const module of modules) {
    const scheme = schemeOf(module);
    if (!scheme)
      throw new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: no group of quantization_config.config_groups covers ${module}.`, {
        tensor: `${module}.weight_packed`,
      });
    weights.push(await openPackedWeight(checkpoint, module, scheme, backend));
  }
  const parts = new Set(modules.flatMap((module) => PARTS.map((part) => `${module}.${part}`)));
  return codedFolder(checkpoint, { weights, parts, backend });
}
