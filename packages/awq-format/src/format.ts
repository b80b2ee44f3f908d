import { createModelWriter, folderOutputs, sourceFloat } from '@calibrant/checkpoint';
import { defineFormat, type Format, type TensorScheme } from '@calibrant/core';
import { type AwqFormatOptions, optionsSchema } from './options.js';
import { openAwqFolder } from './read/open-folder.js';
import { awqWeight } from './write/awq-weight.js';
import { oneGrid, quantizationConfig } from './write/quantization-config.js';

/**
 * The format `awq`: a folder in AWQ's GEMM layout that vLLM, SGLang, TGI and transformers load. 4 bits, one group size for the whole model.
 *
 * Source: AutoAWQ (https://github.com/casper-hansen/AutoAWQ), `WQLinear_GEMM`.
 */
export function awqFormat(): Format<AwqFormatOptions> {
  return defineFormat<AwqFormatOptions>({
    name: 'awq',
    aliases: ['awq-format'],
    meta: {
      description: 'safetensors folder with AWQ-packed (GEMM) linear layers, 4 bits, for vLLM, SGLang, TGI and transformers',
      source: 'https://github.com/casper-hansen/AutoAWQ',
      package: '@calibrant/awq-format',
    },
    options: optionsSchema,
    accepts,
    lmHead: 'AutoAWQ and transformers leave lm_head unquantized whatever the files hold, and its config has no key that says otherwise',
    outputs: async ({ checkpoint }) => folderOutputs(checkpoint),
    floatScheme: ({ source }, facts, { dtype }) => ({ kind: 'float', dtype: dtype === 'auto' ? sourceFloat(source, facts) : dtype }),
    async open(input, plan, folder, options, context) {
      const grid = oneGrid(plan);
      const layout = { maxShardBytes: options.maxShardBytes, describe: () => quantizationConfig(input, plan, grid, context) };
      return createModelWriter(input, plan, folder, layout, (planned) =>
        awqWeight(planned, { facts: input.facts, options, backend: context.backend }),
      );
    },
    reader: { openFolder: openAwqFolder },
  });
}

function accepts(scheme: TensorScheme): true | string {
  if (scheme.kind === 'float') return true;
  const other = 'Use the format gptq or compressed-tensors for other widths, and gguf for block types.';
  if (scheme.kind !== 'affine') return `AWQ files hold integer grids of 4 bits such as int4-g128-asym, and floats. ${other}`;
  if (scheme.bits !== 4) return `AWQ files hold 4 bits, not ${scheme.bits}: no server reads other widths. ${other}`;
  return scheme.granularity !== 'tensor' || 'AWQ files hold one scale per row or group, not one per tensor. Use int4-channel or int4-g128.';
}
