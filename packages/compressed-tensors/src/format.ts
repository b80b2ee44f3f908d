import { createModelWriter, folderOutputs, sourceFloat } from '@calibrant/checkpoint';
import { defineFormat, type Format } from '@calibrant/core';
import { type CompressedTensorsOptions, optionsSchema } from './options.js';
import { openCompressedFolder } from './read/open-folder.js';
import { packedWeight } from './write/packed-weight.js';
import { quantizationConfig } from './write/quantization-config.js';

/**
 * The format `compressed-tensors` (also `safetensors`): a folder that vLLM and transformers load. Linear layers on an integer grid are stored
 * as `pack-quantized`, all else in its float type; a recipe that quantizes nothing gives a plain safetensors folder.
 *
 * Source: the compressed-tensors library (https://github.com/vllm-project/compressed-tensors), `PackedQuantizationCompressor`.
 */
export function compressedTensors(): Format<CompressedTensorsOptions> {
  return defineFormat<CompressedTensorsOptions>({
    name: 'compressed-tensors',
    aliases: ['safetensors'],
    meta: {
      description: 'safetensors folder with pack-quantized linear layers, for vLLM and transformers',
      source: 'https://github.com/vllm-project/compressed-tensors',
      package: '@calibrant/compressed-tensors',
    },
    options: optionsSchema,
    accepts: (scheme) =>
      scheme.kind !== 'block' ||
      `compressed-tensors holds integer grids (int4-g128-sym) and floats, not ${scheme.type} blocks. Use the format gguf.`,
    outputs: async ({ checkpoint }) => folderOutputs(checkpoint),
    floatScheme: ({ source }, facts, { dtype }) => ({ kind: 'float', dtype: dtype === 'auto' ? sourceFloat(source, facts) : dtype }),
    async open(input, plan, folder, options, { backend }) {
      const { facts } = input;
      const ordered = new Set<string>();
      const layout = {
        maxShardBytes: options.maxShardBytes,
        describe() {
          const quantization = quantizationConfig(plan, facts, ordered);
          return quantization && { quantization };
        },
      };
      return createModelWriter(input, plan, folder, layout, (planned) =>
        packedWeight(planned, { facts, options, backend, onOrdered: (module) => ordered.add(module) }),
      );
    },
    reader: { openFolder: openCompressedFolder },
  });
}
