import type { Checkpoint, ModelFacts, OutputTensor } from '@calibrant/core';

/** Whether a float scheme can describe a tensor; others (integer buffers, f64, fp8) are copied as they are. */
export function isPlannable({ tensors }: Checkpoint, name: string): boolean {
  const info = tensors.get(name);
  return info?.dtype === 'f32' || info?.dtype === 'f16' || info?.dtype === 'bf16';
}

/** The tensors of a folder in Hugging Face's layout: those of the source under their own names. */
export function folderOutputs(checkpoint: Checkpoint): OutputTensor[] {
  return [...checkpoint.tensors.values()]
    .filter(({ name }) => isPlannable(checkpoint, name))
    .map(({ name, shape }) => ({ name, source: name, shape }));
}

/** The float type of a source tensor; of a quantized source the type that the model's config names. */
export function sourceFloat(source: string | undefined, { tensors, config }: ModelFacts): 'f32' | 'f16' | 'bf16' {
  const found = source === undefined ? undefined : tensors.get(source);
  if (found && found.storage === undefined && (found.dtype === 'f32' || found.dtype === 'f16' || found.dtype === 'bf16'))
    return found.dtype;
  const named = config.dtype ?? config.torch_dtype;
  return named === 'float16' ? 'f16' : named === 'bfloat16' ? 'bf16' : 'f32';
}
