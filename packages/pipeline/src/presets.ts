import { CalibrantError, nearest, type RecipeInput } from '@calibrant/core';

/** A recipe that many use, by name. */
export interface Preset {
  readonly name: string;
  /** What it is for, in a sentence. */
  readonly purpose: string;
  /** What loads the output. */
  readonly servers: string;
  readonly recipe: RecipeInput;
}

const SERVERS = 'vLLM, SGLang, transformers';

/** The presets, each complete: a model and a folder are all that is missing. */
export const PRESETS: readonly Preset[] = [
  {
    name: 'q4_k_m',
    purpose: '4 bits for llama.cpp: the usual choice for CPUs and Macs',
    servers: 'llama.cpp, Ollama, LM Studio',
    recipe: { quantizer: 'rtn', scheme: 'Q4_K_M', format: 'gguf' },
  },
  {
    name: 'q8_0',
    purpose: '8 bits for llama.cpp: close to lossless',
    servers: 'llama.cpp, Ollama, LM Studio',
    recipe: { quantizer: 'rtn', scheme: 'Q8_0', format: 'gguf' },
  },
  {
    name: 'rtn-w4g128',
    purpose: '4-bit weights by rounding, ranges by least error: no calibration data, minutes',
    servers: SERVERS,
    recipe: { quantizer: 'rtn', calibrator: 'mse', scheme: 'int4-g128-asym', format: 'compressed-tensors' },
  },
  {
    name: 'gptq-w4g128',
    purpose: '4-bit weights calibrated by GPTQ: the usual choice for GPUs',
    servers: `${SERVERS}, TGI`,
    recipe: { quantizer: 'gptq', scheme: 'int4-g128-sym', format: 'gptq', calibration: { samples: 256, length: 512 } },
  },
  {
    name: 'gptq-w8g128',
    purpose: '8-bit weights calibrated by GPTQ: close to lossless, half the memory of 16 bits',
    servers: `${SERVERS}, TGI`,
    recipe: { quantizer: 'gptq', scheme: 'int8-g128-sym', format: 'gptq', calibration: { samples: 256, length: 512 } },
  },
  {
    name: 'awq-w4g128',
    purpose: '4-bit weights by AWQ: robust on little calibration text, what AutoAWQ writes',
    servers: `${SERVERS}, TGI`,
    recipe: { transforms: ['awq'], quantizer: 'rtn', scheme: 'int4-g128-asym', format: 'awq', calibration: { samples: 256, length: 512 } },
  },
  {
    name: 'smoothquant-w8a8',
    purpose: '8-bit weights and activations: twice the arithmetic of 16 bits on GPUs from Turing on',
    servers: 'vLLM, SGLang',
    recipe: {
      transforms: ['smoothquant'],
      quantizer: 'rtn',
      scheme: 'int8-channel-sym',
      activations: 'int8-token',
      format: 'compressed-tensors',
      calibration: { samples: 256, length: 512 },
    },
  },
  {
    name: 'fp8-dynamic',
    purpose: 'FP8 weights and activations: close to lossless, no calibration data, for GPUs from Ada and Hopper on',
    servers: 'vLLM, SGLang',
    recipe: { quantizer: 'rtn', scheme: 'fp8-channel', activations: 'fp8-token', format: 'compressed-tensors' },
  },
  {
    name: 'fp8-static',
    purpose: 'FP8 weights and activations with scales from calibration: the fastest kernels of the same GPUs',
    servers: 'vLLM, SGLang',
    recipe: {
      quantizer: 'rtn',
      scheme: 'fp8-tensor',
      activations: 'fp8-tensor-static',
      format: 'compressed-tensors',
      calibration: { samples: 256, length: 512 },
    },
  },
  {
    name: 'rtn-w8-channel',
    purpose: '8-bit weights, one scale per row, by rounding: no calibration data',
    servers: SERVERS,
    recipe: { quantizer: 'rtn', scheme: 'int8-channel-sym', format: 'compressed-tensors' },
  },
  {
    name: 'bnb-nf4',
    purpose: 'NF4 of bitsandbytes with double quantization: the codes that QLoRA trains on, made without a GPU',
    servers: 'transformers, vLLM',
    recipe: { quantizer: 'rtn', scheme: 'nf4-dq', format: 'bitsandbytes' },
  },
  {
    name: 'llm-int8',
    purpose: '8-bit weights of bitsandbytes, outlier inputs in 16 bits',
    servers: 'transformers, vLLM',
    recipe: { quantizer: 'rtn', scheme: 'llm-int8', format: 'bitsandbytes' },
  },
];

/** @throws CalibrantError `UNKNOWN_NAME` with the nearest known name */
export function findPreset(name: string): Preset {
  const found = PRESETS.find((preset) => preset.name === name.toLowerCase());
  if (found) return found;
  const names = PRESETS.map((preset) => preset.name);
  const close = nearest(name, names);
  throw new CalibrantError(
    'UNKNOWN_NAME',
    `There is no preset "${name}".${close ? ` Did you mean "${close}"?` : ''} Known: ${names.join(', ')}.`,
    {
      option: '--preset',
    },
  );
}
