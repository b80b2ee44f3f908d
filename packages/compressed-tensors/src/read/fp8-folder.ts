import { type CodedWeight, codedFolder } from '@calibrant/checkpoint';
import {
  type ActivationScheme,
  CalibrantError,
  type Checkpoint,
  elementCount,
  type FormatContext,
  type MinifloatScheme,
  type MinifloatTensor,
  minifloatScaleShape,
  tensor,
  toF32,
} from '@calibrant/core';
import { readExecution, SCALE_PARTS } from './execution.js';

type Json = Readonly<Record<string, unknown>>;

/**
 * A folder with `quant_method: "fp8"` (DeepSeek, Qwen; vLLM) as an ordinary checkpoint: E4M3 weights with a scale per block, `weight_scale_inv` (which is the
 * multiplier despite its name), or per tensor, `weight_scale`. Undefined for any other checkpoint.
 *
 * @throws CalibrantError `CORRUPT_FILE` for layers whose parts do not fit.
 */
export async function openFp8Folder(checkpoint: Checkpoint, { backend }: FormatContext): Promise<Checkpoint | undefined> {
  const settings = checkpoint.config.quantization_config as Json | undefined;
  if (settings?.quant_method !== 'fp8') return undefined;
  const block = blockShape(settings.weight_block_size);
  const weights: CodedWeight[] = [];
  const activations = new Map<string, ActivationScheme>();
  const parts = new Set<string>();
  for (const [name, info] of checkpoint.tensors) {
    if (SCALE_PARTS.test(name)) parts.add(name);
    if (info.dtype !== 'f8_e4m3' || !name.endsWith('.weight')) continue;
    const module = name.slice(0, -'.weight'.length);
    const blockwise = checkpoint.tensors.has(`${module}.weight_scale_inv`);
    const scheme: MinifloatScheme = {
      kind: 'minifloat',
      dtype: 'f8_e4m3',
      ...(blockwise && block ? { granularity: 'block', blockShape: block } : { granularity: 'tensor' }),
    };
    const scale = `${module}.${blockwise ? 'weight_scale_inv' : 'weight_scale'}`;
    weights.push(openWeight(checkpoint, name, scale, scheme));
    for (const part of [name, scale]) parts.add(part);
    const input = inputScheme(settings, scheme, checkpoint.tensors.has(`${module}.input_scale`));
    // Servers cannot round inputs in blocks that do not divide them; the weights are good all the same.
    if (info.shape[1] % (input.groupSize ?? 1) === 0) activations.set(module, input);
  }
  const execution = await readExecution(checkpoint, activations, undefined);
  return codedFolder(checkpoint, { weights, parts, backend, ...(execution ? { execution } : {}) });
}

function openWeight(checkpoint: Checkpoint, name: string, scaleName: string, scheme: MinifloatScheme): CodedWeight {
  const info = checkpoint.tensors.get(name);
  const scale = checkpoint.tensors.get(scaleName);
  const grid = info?.shape.length === 2 ? minifloatScaleShape(scheme, info.shape) : undefined;
  if (!info || !scale || !grid || elementCount(scale.shape) !== elementCount(grid))
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${checkpoint.name}: ${name} [${info?.shape.join(', ')}] in 8-bit floats needs ${scaleName} with ${grid ? elementCount(grid) : 'its'} values${grid ? ` [${grid.join(', ')}]` : ''}, found ${scale ? `[${scale.shape.join(', ')}]` : 'none'}.`,
      { tensor: name, ...(info ? { file: info.file } : {}) },
    );
  return {
    info: {
      name,
      dtype: 'f32',
      shape: info.shape,
      storage: 'fp8',
      coded: { scheme, scaleDtype: scale.dtype },
      bytes: info.bytes + scale.bytes,
      file: info.file,
    },
    async readCoded(start, end): Promise<MinifloatTensor> {
      const codes = (await checkpoint.read(name, { start, end })).data as Uint8Array;
      const scales = tensor('f32', grid, toF32(await checkpoint.read(scaleName)));
      return { kind: 'minifloat', scheme, shape: [end - start, info.shape[1]], codes, scales, firstRow: start };
    },
  };
}

/** Inputs have a stored scale, or are measured as they come: per run of a block's columns, or per tensor. */
function inputScheme(settings: Json, scheme: MinifloatScheme, stored: boolean): ActivationScheme {
  const common = { type: 'float', bits: 8, symmetric: true } as const;
  if (settings.activation_scheme === 'static' && stored) return { ...common, granularity: 'tensor', dynamic: false };
  if (scheme.blockShape) return { ...common, granularity: 'group', groupSize: scheme.blockShape[1], dynamic: true };
  return { ...common, granularity: 'tensor', dynamic: true };
}

function blockShape(value: unknown): readonly [number, number] | undefined {
  const fits = Array.isArray(value) && value.length === 2 && value.every((size) => Number.isInteger(size) && size > 0);
  return fits ? [value[0], value[1]] : undefined;
}
