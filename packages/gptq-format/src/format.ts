import { createModelWriter, folderOutputs, sourceFloat } from '@calibrant/checkpoint';
import { affineSchemeName, defineFormat, type Format, type TensorScheme } from '@calibrant/core';
import { type GptqFormatOptions, optionsSchema } from './options.js';
import { openGptqFolder } from './read/open-folder.js';
import { checkpointVersion } from './write/checkpoint-version.js';
import { gptqWeight } from './write/gptq-weight.js';
import { quantizationConfig } from './write/quantization-config.js';

/**
 * The format `gptq`: a folder that vLLM, SGLang, TGI, transformers and ExLlama load, with integer codes packed along the inputs of each linear layer.
 *
 * Source: AutoGPTQ (https://github.com/AutoGPTQ/AutoGPTQ) and GPTQModel (https://github.com/ModelCloud/GPTQModel), `QuantLinear.pack`.
 */
export function gptqFormat(): Format<GptqFormatOptions> {
  return defineFormat<GptqFormatOptions>({
    name: 'gptq',
    aliases: ['gptq-format'],
    meta: {
      description: 'safetensors folder with GPTQ-packed linear layers (v1 or v2), for vLLM, SGLang, transformers and ExLlama',
      source: 'https://github.com/ModelCloud/GPTQModel',
      package: '@calibrant/gptq-format',
    },
    options: optionsSchema,
    accepts,
    lmHead: true,
    exact: ({ scheme }) => (accepts(scheme) === true ? scheme : undefined),
    outputs: async ({ checkpoint }) => folderOutputs(checkpoint),
    floatScheme: ({ source }, facts, { dtype }) => ({ kind: 'float', dtype: dtype === 'auto' ? sourceFloat(source, facts) : dtype }),
    async open(input, plan, folder, options, context) {
      const version = checkpointVersion(plan, options);
      const ordered = new Set<string>();
      const layout = {
        maxShardBytes: options.maxShardBytes,
        describe: () => quantizationConfig(input, plan, version, ordered),
      };
      return createModelWriter(input, plan, folder, layout, (planned) =>
        gptqWeight(planned, { facts: input.facts, options, context, version, onOrdered: (module) => ordered.add(module) }),
      );
    },
    reader: { openFolder: openGptqFolder },
  });
}

function accepts(scheme: TensorScheme): true | string {
  if (scheme.kind === 'float') return true;
  if (scheme.kind !== 'affine')
    return 'GPTQ files hold integer grids such as int4-g128-sym, and floats. Use the format gguf for block types.';
  if (![2, 3, 4, 8].includes(scheme.bits))
    return `GPTQ files hold 2, 3, 4 and 8 bits, not ${scheme.bits}. Use one of these, or the format compressed-tensors.`;
  if (scheme.granularity === 'tensor')
    return `GPTQ files hold one scale per row or group, not one per tensor. Use int${scheme.bits}-channel instead of ${affineSchemeName(scheme)}.`;
  return true;
}
