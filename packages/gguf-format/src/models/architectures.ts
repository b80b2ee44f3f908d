import { CalibrantError } from '@calibrant/core';

/** How one architecture of llama.cpp relates to checkpoints. */
export interface GgufArchitecture {
  /** llama.cpp's name: `general.architecture` and the prefix of the keys. */
  readonly name: string;
  /** `model_type` of checkpoints that become it; the first is what a file of it is read as. */
  readonly modelTypes: readonly string[];
  /** `architectures[0]` of each model type. */
  readonly classes: readonly string[];
  /** Whether q and k rows are interleaved, because llama.cpp rotates neighbouring pairs where checkpoints rotate halves. */
  readonly interleaved: boolean;
}

const ARCHITECTURES: readonly GgufArchitecture[] = [
  { name: 'llama', modelTypes: ['llama', 'mistral'], classes: ['LlamaForCausalLM', 'MistralForCausalLM'], interleaved: true },
  { name: 'qwen2', modelTypes: ['qwen2'], classes: ['Qwen2ForCausalLM'], interleaved: false },
  { name: 'qwen3', modelTypes: ['qwen3'], classes: ['Qwen3ForCausalLM'], interleaved: false },
  { name: 'smollm3', modelTypes: ['smollm3'], classes: ['SmolLM3ForCausalLM'], interleaved: true },
];

/** @throws CalibrantError `UNSUPPORTED` that lists what is supported. */
export function architectureOfModelType(modelType: unknown, model: string): GgufArchitecture {
  const found = ARCHITECTURES.find(({ modelTypes }) => modelTypes.includes(String(modelType)));
  if (!found)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: checkpoints of type "${String(modelType)}" cannot be converted to GGUF here. Supported model types: ${ARCHITECTURES.flatMap(({ modelTypes }) => modelTypes).join(', ')}.`,
    );
  return found;
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

/** Tensors whose rows are permuted in architectures with `interleaved`. */
export function isPermuted(ggufName: string): boolean {
  return /\.attn_[qk]\.(weight|bias)$/.test(ggufName);
}

/** Row `2i + h` of a head in the file is row `h · headDim / 2 + i` of the checkpoint (h = 0, 1). */
export function interleavedOrder(headDim: number): number[] {
  return Array.from({ length: headDim }, (_, row) => (row & 1) * (headDim / 2) + (row >> 1));
}
