import { CalibrantError, type Checkpoint, type OutputTensor, type TensorInfo, tensor } from '@calibrant/core';
import { ggufOrigin } from '../checkpoint/gguf-origin.js';
import type { GgufArchitecture } from '../models/architecture.js';
import { architectureOfModelType } from '../models/architectures.js';
import { arrange } from '../models/arrangement.js';
import { checkRunnable, type ModelConfig, readModelConfig } from '../models/model-config.js';
import { factorTensors } from '../models/rope-factors.js';
import { blockOf, compareTensorNames, type Place, tensorNames } from '../models/tensor-names.js';

const EMBEDDING = 'token_embd.weight';
const HEAD = 'output.weight';

/** What the tensor of a file is made of, by the numbers of what is stacked. */
type Sources = { readonly place: Place; readonly parts: TensorInfo[] };

/**
 * The tensors of the GGUF file of a checkpoint, in llama-quantize's order.
 *
 * @param vocabulary rows of the embedding to keep, where the tokenizer has fewer tokens than the embedding rows; all if absent.
 */
export function ggufOutputs(checkpoint: Checkpoint, vocabulary = Number.POSITIVE_INFINITY): OutputTensor[] {
  const architecture = architectureOfModelType(checkpoint.config['model_type'], checkpoint.name);
  const config = readModelConfig(checkpoint.config, architecture, checkpoint.name);
  checkRunnable(checkpoint.config, architecture, config, checkpoint.name);
  const outputs = [...sourcesByName(checkpoint, architecture, config).values()].map((sources) =>
    outputOf(sources, config, checkpoint.name, vocabulary),
  );
  outputs.push(...missingHead(outputs, architecture, config, checkpoint.name));
  const factorsByName = ggufOrigin(checkpoint)?.factors ?? factorTensors(config, config.ropeScaling);
  for (const [name, factors] of factorsByName)
    outputs.push({ name, shape: [factors.length], constant: tensor('f32', [factors.length], factors) });
  return outputs.sort((a, b) => compareTensorNames(a.name, b.name));
}

function sourcesByName(checkpoint: Checkpoint, architecture: GgufArchitecture, config: ModelConfig): Map<string, Sources> {
  const names = tensorNames(architecture, checkpoint.config);
  const found = new Map<string, Sources>();
  for (const info of checkpoint.tensors.values()) {
    const place = names.place(info.name);
    // A tied head is stored once, as the embedding.
    if (!place || (config.tied && place.name === HEAD)) continue;
    if (blockOf(place.name) >= config.layers) throw beyond(checkpoint.name, info.name, config.layers);
    const sources = found.get(place.name) ?? { place, parts: [] };
    if (place.index !== undefined && place.index >= checkpoint.tensors.size) throw unstackable(checkpoint.name, info.name);
    if (sources.parts[place.index ?? 0]) throw unstackable(checkpoint.name, info.name);
    sources.parts[place.index ?? 0] = info;
    found.set(place.name, sources);
  }
  return found;
}

function outputOf({ place, parts }: Sources, config: ModelConfig, model: string, vocabulary: number): OutputTensor {
  const { name, as, index } = place;
  const [first] = parts;
  if (index === undefined) {
    const arranged = arrange(as, first.shape, config, first.name, model);
    const [rows, ...rest] = arranged.shape;
    const shape = name === EMBEDDING || name === HEAD ? [Math.min(rows, vocabulary), ...rest] : arranged.shape;
    return { name, source: first.name, ...arranged, shape };
  }
  for (let part = 0; part < parts.length; part++)
    if (parts[part]?.shape.join() !== first?.shape.join()) throw unstackable(model, parts[part]?.name ?? `${name} number ${part}`);
  return { name, stacked: parts.map((part) => part.name), shape: [parts.length, ...first.shape] };
}

/** Runtimes that want a head of its own get the tied embedding twice. */
function missingHead(outputs: readonly OutputTensor[], architecture: GgufArchitecture, config: ModelConfig, model: string): OutputTensor[] {
  if (outputs.length === 0 || outputs.some(({ name }) => name === HEAD)) return [];
  const embedding = outputs.find(({ name }) => name === EMBEDDING);
  if (config.tied) return architecture.head === 'own' && embedding ? [{ ...embedding, name: HEAD }] : [];
  const head = tensorNames(architecture, {}).origin(HEAD)?.source ?? 'lm_head.weight';
  throw new CalibrantError(
    'NOT_FOUND',
    `${model}: there is no tensor "${head}", and config.json does not say that it is tied to the embedding ("tie_word_embeddings").`,
    { tensor: head },
  );
}

function beyond(model: string, source: string, layers: number): CalibrantError {
  return new CalibrantError(
    'UNSUPPORTED',
    `${model}: "${source}" belongs to a block that config.json does not count ("num_hidden_layers": ${layers}); llama.cpp loads no file with tensors that it does not expect. Correct config.json, or take the tensor out.`,
    { tensor: source, option: 'num_hidden_layers' },
  );
}

function unstackable(model: string, source: string): CalibrantError {
  return new CalibrantError(
    'SHAPE_MISMATCH',
    `${model}: "${source}" is missing, there twice or of another shape than its neighbours, which GGUF holds in one tensor.`,
    { tensor: source },
  );
}
