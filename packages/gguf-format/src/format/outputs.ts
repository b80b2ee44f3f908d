import { CalibrantError, type Checkpoint, type OutputTensor, tensor } from '@calibrant/core';
import { architectureOfModelType, interleavedOrder, isPermuted } from '../models/architectures.js';
import { readModelConfig } from '../models/model-config.js';
import { checkUnrotatedLayers } from '../models/model-keys.js';
import { ROPE_FACTORS, ropeFactors } from '../models/rope-factors.js';
import { compareTensorNames, toGgufName } from '../models/tensor-names.js';

/** The tensors of the GGUF file of a checkpoint, in llama-quantize's order. */
export function ggufOutputs(checkpoint: Checkpoint): OutputTensor[] {
  const architecture = architectureOfModelType(checkpoint.config['model_type'], checkpoint.name);
  const config = readModelConfig(checkpoint.config, checkpoint.name);
  checkUnrotatedLayers(checkpoint.config, checkpoint.name);
  const rowOrder = { period: config.headDim, order: interleavedOrder(config.headDim) };
  const outputs: OutputTensor[] = [];
  for (const { name: source, shape } of checkpoint.tensors.values()) {
    const name = toGgufName(source);
    // A tied head is stored once, as the embedding.
    if (name === undefined || (config.tied && name.startsWith('output.'))) continue;
    const permuted = architecture.interleaved && isPermuted(name);
    if (permuted && shape[0] % config.headDim !== 0)
      throw new CalibrantError(
        'SHAPE_MISMATCH',
        `${checkpoint.name}: tensor "${source}" has ${shape[0]} rows, which is no multiple of the head size ${config.headDim} in config.json.`,
        { tensor: source },
      );
    outputs.push({ name, source, shape, ...(permuted ? { rowOrder } : {}) });
  }
  if (!config.tied && outputs.length > 0 && !outputs.some(({ name }) => name === 'output.weight'))
    throw new CalibrantError(
      'NOT_FOUND',
      `${checkpoint.name}: there is no tensor "lm_head.weight", and config.json does not say that it is tied to the embedding ("tie_word_embeddings").`,
      { tensor: 'lm_head.weight' },
    );
  if (config.ropeScaling?.type === 'llama3') {
    const factors = ropeFactors(config, config.ropeScaling);
    outputs.push({ name: ROPE_FACTORS, shape: [factors.length], constant: tensor('f32', [factors.length], factors) });
  }
  return outputs.sort((a, b) => compareTensorNames(a.name, b.name));
}
