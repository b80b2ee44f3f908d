import { createModelWriter, folderOutputs, sourceFloat } from '@calibrant/checkpoint';
import {
  affineSchemeName,
  type CodedInfo,
  defineFormat,
  type Format,
  type ModelFacts,
  type OutputTensor,
  type TensorScheme,
} from '@calibrant/core';
import { fourBitScheme, parseFourBitName } from './grids/four-bit.js';
import { INT8_TYPE } from './grids/int8-rows.js';
import { type BitsandbytesFormatOptions, optionsSchema } from './options.js';
import { openBitsandbytesFolder } from './read/open-folder.js';
import { fourBitWeight } from './write/four-bit-weight.js';
import { int8Weight } from './write/int8-weight.js';
import { checkOneWidth, fourBitForm, quantizationConfig } from './write/quantization-config.js';

const NAMES = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as const;

/**
 * The format `bitsandbytes`: a folder with NF4, FP4 or LLM.int8() weights that transformers and vLLM load.
 *
 * Source: bitsandbytes (https://github.com/bitsandbytes-foundation/bitsandbytes), `QuantState` and `Linear8bitLt`.
 */
export function bitsandbytesFormat(): Format<BitsandbytesFormatOptions> {
  return defineFormat<BitsandbytesFormatOptions>({
    name: 'bitsandbytes',
    aliases: ['bnb'],
    meta: {
      description: 'safetensors folder with NF4, FP4 or LLM.int8() linear layers, for transformers and vLLM',
      source: 'https://github.com/bitsandbytes-foundation/bitsandbytes',
      package: '@calibrant/bitsandbytes-format',
    },
    options: optionsSchema,
    accepts,
    exact,
    outputs: async ({ checkpoint }) => folderOutputs(checkpoint),
    floatScheme: ({ source }, facts, options) => ({ kind: 'float', dtype: floatOf(source, facts, options) }),
    async open(input, plan, folder, options) {
      checkOneWidth(plan);
      const dtypeName = ({ source }: OutputTensor) => NAMES[floatOf(source, input.facts, options)];
      const first = plan.find(({ scheme }) => scheme.kind !== 'float');
      const layout = {
        maxShardBytes: options.maxShardBytes,
        describe: () => quantizationConfig(input, plan, options, first ? dtypeName(first) : 'float32'),
      };
      return createModelWriter(input, plan, folder, layout, (planned) => {
        const form = fourBitForm(planned);
        const weight = { facts: input.facts, dtypeName };
        return form ? fourBitWeight(planned, form, weight) : int8Weight(planned, weight);
      });
    },
    reader: { openFolder: openBitsandbytesFolder },
  });
}

function floatOf(source: string | undefined, facts: ModelFacts, { dtype }: BitsandbytesFormatOptions) {
  return dtype === 'auto' ? sourceFloat(source, facts) : dtype;
}

const HELD = 'nf4, fp4 (also nf4-g128, nf4-dq), llm-int8 and int8-channel-sym';

function accepts(scheme: TensorScheme): true | string {
  if (scheme.kind === 'float') return true;
  if (scheme.kind === 'block' && (parseFourBitName(scheme.type) || scheme.type === INT8_TYPE)) return true;
  if (scheme.kind === 'affine' && scheme.bits === 8 && scheme.granularity === 'channel' && scheme.symmetric) return true;
  const found = scheme.kind === 'affine' ? affineSchemeName(scheme) : scheme.kind === 'block' ? scheme.type : scheme.dtype;
  return `bitsandbytes holds ${HELD}, not ${found}. Use one of these, or the format compressed-tensors or gptq.`;
}

/** Magnitudes in 8 bits are decoded when they are read, and stored again in 32 bits: rounding them twice would change them. */
function exact({ scheme, ordered }: CodedInfo): TensorScheme | undefined {
  if (ordered || accepts(scheme) !== true) return undefined;
  const form = scheme.kind === 'block' ? parseFourBitName(scheme.type) : undefined;
  return form ? fourBitScheme({ ...form, doubleQuant: false }) : scheme;
}
