import { CalibrantError } from '@calibrant/core';
import type { GgufArchitecture } from './architecture.js';
import { gemma, gemma2, gemma3 } from './families/gemma.js';
import { bloom, falcon, gpt2, gptNeoX } from './families/gpt.js';
import { granite, llama, olmo2, smollm3 } from './families/llama.js';
import { commandR, stablelm } from './families/parallel.js';
import { phi2, phi3 } from './families/phi.js';
import { qwen2, qwen2Moe, qwen3, qwen3Moe } from './families/qwen.js';

const ARCHITECTURES: readonly GgufArchitecture[] = [
  llama,
  smollm3,
  qwen2,
  qwen2Moe,
  qwen3,
  qwen3Moe,
  gemma,
  gemma2,
  gemma3,
  phi2,
  phi3,
  gpt2,
  gptNeoX,
  stablelm,
  olmo2,
  granite,
  commandR,
  falcon,
  bloom,
];

/** Model types that llama.cpp cannot run at all. */
const WITHOUT_GGUF = ['opt'];

/** `gemma3` by way of its text model. */
const SUPPORTED = [...ARCHITECTURES.flatMap(({ modelTypes }) => modelTypes), 'gemma3'];

/** @throws CalibrantError `UNSUPPORTED` that lists what is supported. */
export function architectureOfModelType(modelType: unknown, model: string): GgufArchitecture {
  const found = ARCHITECTURES.find(({ modelTypes }) => modelTypes.includes(String(modelType)));
  if (found) return found;
  const reason = WITHOUT_GGUF.includes(String(modelType))
    ? `GGUF has no architecture for checkpoints of type "${modelType}", because llama.cpp cannot run them; choose another format, such as safetensors.`
    : `checkpoints of type "${String(modelType)}" cannot be converted to GGUF here.`;
  throw new CalibrantError('UNSUPPORTED', `${model}: ${reason} Supported model types: ${SUPPORTED.join(', ')}.`);
}

/** @throws CalibrantError `UNSUPPORTED` that lists what is supported. */
export function architectureOfFile(name: string, file: string): GgufArchitecture {
  const found = ARCHITECTURES.find((architecture) => architecture.name === name);
  if (!found)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${file}: GGUF files of architecture "${name}" cannot be read as a checkpoint here. Supported: ${ARCHITECTURES.map((architecture) => architecture.name).join(', ')}.`,
      { file },
    );
  return found;
}
