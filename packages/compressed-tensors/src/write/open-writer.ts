import { createModelWriter } from '@calibrant/checkpoint';
import {
  CalibrantError,
  type FormatContext,
  type FormatInput,
  type FormatWriter,
  type OutputFolder,
  type PlannedTensor,
} from '@calibrant/core';
import type { CompressedTensorsOptions } from '../options.js';
import { storedActivations } from './activations.js';
import { layoutName } from './formats.js';
import { packedWeight } from './packed-weight.js';
import { quantizationConfig } from './quantization-config.js';
import { floatWeight, integerWeight } from './whole-weight.js';

/** Starts the files of a model; see `compressedTensors`. */
export async function openWriter(
  input: FormatInput,
  plan: readonly PlannedTensor[],
  folder: OutputFolder,
  options: CompressedTensorsOptions,
  { backend }: FormatContext,
): Promise<FormatWriter> {
  const { facts, execution } = input;
  const ordered = new Set<string>();
  const activations = storedActivations(execution, plan, facts);
  const layout = {
    maxShardBytes: options.maxShardBytes,
    extra: activations.extra,
    writeActivation: activations.write,
    describe() {
      const missing = activations.missing();
      if (missing.length > 0)
        throw new CalibrantError(
          'INVALID_ARGUMENT',
          `The grids of ${missing.length} activations are static, and no scale came for them, such as ${missing[0]}. Calibrate them, or make them dynamic.`,
          { option: 'recipe.activations' },
        );
      const quantization = quantizationConfig(input, plan, ordered);
      return quantization && { quantization };
    },
  };
  return createModelWriter(input, plan, folder, layout, (planned) => {
    const given = { facts, options, backend, onOrdered: (module: string) => void ordered.add(module) };
    switch (layoutName(planned.scheme, execution?.activations.get(planned.source ?? planned.name)?.scheme)) {
      case 'pack-quantized':
        return packedWeight(planned, given);
      case 'int-quantized':
        return integerWeight(planned, given);
      default:
        return floatWeight(planned, given);
    }
  });
}
