import { folderOutputs, sourceFloat } from '@calibrant/checkpoint';
import { defineFormat, type Format, type TensorScheme } from '@calibrant/core';
import { type CompressedTensorsOptions, optionsSchema } from './options.js';
import { openFp8Folder } from './read/fp8-folder.js';
import { openCompressedFolder } from './read/open-folder.js';
import { openWriter } from './write/open-writer.js';

/**
 * The format `compressed-tensors` (also `safetensors`): a folder that vLLM and transformers load. Linear layers on an integer grid are stored
 * as `pack-quantized`, or `int-quantized` where their inputs are 8-bit integers too; those in 8-bit floats as `float-quantized`; all else in its float type. Where layers
 * differ the folder is `mixed-precision`. A recipe that quantizes nothing gives a plain safetensors folder.
 *
 * Source: the compressed-tensors library (https://github.com/vllm-project/compressed-tensors), its quantized compressors.
 */
export function compressedTensors(): Format<CompressedTensorsOptions> {
  return defineFormat<CompressedTensorsOptions>({
    name: 'compressed-tensors',
    aliases: ['safetensors'],
    meta: {
      description: 'safetensors folder with packed integers, W8A8 or FP8 linear layers, for vLLM and transformers',
      source: 'https://github.com/vllm-project/compressed-tensors',
      package: '@calibrant/compressed-tensors',
    },
    options: optionsSchema,
    accepts,
    lmHead: true,
    exact: ({ scheme }) => (accepts(scheme) === true ? scheme : undefined),
    keepsExecution: true,
    outputs: async ({ checkpoint }) => folderOutputs(checkpoint),
    floatScheme: ({ source }, facts, { dtype }) => ({ kind: 'float', dtype: dtype === 'auto' ? sourceFloat(source, facts) : dtype }),
    open: openWriter,
    reader: {
      openFolder: async (checkpoint, context) =>
        (await openCompressedFolder(checkpoint, context)) ?? (await openFp8Folder(checkpoint, context)),
    },
  });
}

function accepts(scheme: TensorScheme): true | string {
  if (scheme.kind !== 'block') return true;
  return `compressed-tensors holds integer grids (int4-g128-sym), 8-bit floats (fp8-channel) and floats, not ${scheme.type} blocks. Use the format gguf.`;
}
