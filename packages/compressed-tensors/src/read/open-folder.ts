import { CalibrantError, type Checkpoint, type TensorInfo } from '@calibrant/core';
import { readConfigGroups } from './config-groups.js';
import { openPackedWeight, type PackedWeight } from './packed-weight.js';

const PARTS = ['weight_packed', 'weight_scale', 'weight_shape', 'weight_zero_point', 'weight_g_idx'];

/**
 * A checkpoint whose config names compressed-tensors, as an ordinary one: each packed layer appears as `X.weight` in f32. Undefined for any
 * other checkpoint.
 *
 * @throws CalibrantError `UNSUPPORTED` for formats other than pack-quantized, `CORRUPT_FILE` for layers whose parts do not fit.
 */
export async function openCompressedFolder(checkpoint: Checkpoint): Promise<Checkpoint | undefined> {
  const { quantization_config: quantization, ...config } = checkpoint.config as { quantization_config?: Record<string, unknown> };
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
  const weights = new Map<string, PackedWeight>();
  for (const module of modules) {
    const scheme = schemeOf(module);
    if (!scheme)
      throw new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: no group of quantization_config.config_groups covers ${module}.`, {
        tensor: `${module}.weight_packed`,
      });
    weights.set(`${module}.weight`, await openPackedWeight(checkpoint, module, scheme));
  }
  const hidden = new Set(modules.flatMap((module) => PARTS.map((part) => `${module}.${part}`)));
  const tensors = new Map<string, TensorInfo>();
  for (const [name, info] of checkpoint.tensors) {
    const packed = name.endsWith('.weight_packed') ? weights.get(name.replace(/_packed$/, '')) : undefined;
    if (packed) tensors.set(packed.info.name, packed.info);
    else if (!hidden.has(name)) tensors.set(name, info);
  }
  return {
    name: checkpoint.name,
    config,
    tensors,
    files: checkpoint.files,
    text: (file) => checkpoint.text(file),
    async read(name, range) {
      const weight = weights.get(name);
      if (!weight) return checkpoint.read(name, range);
      const { start, end } = range ?? { start: 0, end: weight.info.shape[0] };
      return weight.read(start, end);
    },
    close: () => checkpoint.close(),
  };
}
