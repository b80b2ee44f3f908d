import { type CodedWeight, codedFolder } from '@calibrant/checkpoint';
import { type ActivationScheme, CalibrantError, type Checkpoint, type FormatContext } from '@calibrant/core';
import { type GroupOf, type LayerGroup, readConfigGroups } from './config-groups.js';
import { readExecution, SCALE_PARTS } from './execution.js';
import { openFp4Weight } from './fp4-weight.js';
import { openPackedWeight } from './packed-weight.js';
import { openWholeWeight } from './whole-weight.js';

const PARTS = ['weight', 'weight_packed', 'weight_scale', 'weight_global_scale', 'weight_shape', 'weight_zero_point', 'weight_g_idx'];
const FORMATS = [
  'pack-quantized',
  'int-quantized',
  'float-quantized',
  'nvfp4-pack-quantized',
  'mxfp4-pack-quantized',
  'naive-quantized',
  'mixed-precision',
  'dense',
];

/**
 * A checkpoint whose config names compressed-tensors, as an ordinary one: each quantized layer appears as `X.weight` in f32, and grids of activations and of
 * cached keys and values as its execution plan. Undefined for any other checkpoint.
 *
 * @throws CalibrantError `UNSUPPORTED` for other formats, `CORRUPT_FILE` for layers whose parts do not fit.
 */
export async function openCompressedFolder(checkpoint: Checkpoint, { backend, onEvent }: FormatContext): Promise<Checkpoint | undefined> {
  const { quantization_config: quantization } = checkpoint.config as { quantization_config?: Record<string, unknown> };
  if (quantization?.quant_method !== 'compressed-tensors') return undefined;
  if (!FORMATS.includes(String(quantization.format)))
    throw new CalibrantError(
      'UNSUPPORTED',
      `${checkpoint.name} is compressed-tensors in the format "${quantization.format}"; ${FORMATS.slice(0, -1).join(', ')} can be read. Start from the unquantized model.`,
      { file: 'config.json' },
    );
  const groupOf = readConfigGroups(quantization, checkpoint.name, (what) =>
    onEvent?.({
      warning: `${checkpoint.name}: ${what} cannot be run; the model is read with these inputs in floating point.`,
      item: 'model',
    }),
  );
  const modules = quantizedModules(checkpoint);
  const weights: CodedWeight[] = [];
  const activations = new Map<string, ActivationScheme>();
  for (const module of modules) {
    const group = groupFor(module, groupOf, checkpoint);
    weights.push(await openWeight(checkpoint, module, group, backend));
    if (group.activations) activations.set(module, group.activations);
  }
  const parts = new Set(modules.flatMap((module) => PARTS.map((part) => `${module}.${part}`)));
  for (const name of checkpoint.tensors.keys()) if (SCALE_PARTS.test(name)) parts.add(name);
  const cache = quantization.kv_cache_scheme as Record<string, unknown> | null | undefined;
  const execution = await readExecution(checkpoint, activations, cache);
  return codedFolder(checkpoint, { weights, parts, backend, ...(execution ? { execution } : {}) });
}

/** Modules with packed words, or with whole codes and a scale. */
function quantizedModules({ tensors }: Checkpoint): string[] {
  return [...tensors.keys()].flatMap((name) => {
    if (name.endsWith('.weight_packed')) return [name.slice(0, -'.weight_packed'.length)];
    const dtype = name.endsWith('.weight') ? tensors.get(name)?.dtype : undefined;
    return dtype === 'i8' || dtype === 'f8_e4m3' ? [name.slice(0, -'.weight'.length)] : [];
  });
}

function groupFor(module: string, groupOf: GroupOf, { name }: Checkpoint): LayerGroup {
  const group = groupOf(module);
  if (group) return group;
  throw new CalibrantError('CORRUPT_FILE', `${name}: no group of quantization_config.config_groups covers ${module}.`, {
    tensor: `${module}.weight`,
  });
}

async function openWeight(
  checkpoint: Checkpoint,
  module: string,
  { scheme }: LayerGroup,
  backend: FormatContext['backend'],
): Promise<CodedWeight> {
  if (scheme.kind === 'fp4') return openFp4Weight(checkpoint, module, scheme);
  if (!checkpoint.tensors.has(`${module}.weight_packed`)) return openWholeWeight(checkpoint, module, scheme);
  if (scheme.kind === 'affine') return openPackedWeight(checkpoint, module, scheme, backend);
  throw new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: ${module} is packed, and the config asks for 8-bit floats.`, {
    tensor: `${module}.weight_packed`,
  });
}
