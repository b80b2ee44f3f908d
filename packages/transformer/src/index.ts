/**
 * Model architectures as data, their forward pass by blocks, tokenizer, chat template and text generation.
 * @module
 */

export { architectures } from './architectures/official.js';
export { checkTensors, describeCheckpoint } from './architectures/resolve.js';
export {
  type ArchitectureDescription,
  inputsOf,
  type LinearStep,
  type NormStep,
  type RopeDescription,
  type RopeScaling,
  type Step,
  type WeightRef,
  weightsOf,
} from './description.js';
export { type GenerateOptions, generate } from './generation/generate.js';
export { type ModelTextGenerator, textGenerator } from './generation/text-generator.js';
export { attentionStep } from './kernels/attention-step.js';
export { joinColumns } from './kernels/join-columns.js';
export type { ForwardOptions, LinearInfo, Stage, TransformerBlock } from './runtime/block.js';
export type { PositionBuffers, Positions, RopeBuffers } from './runtime/position-buffers.js';
export {
  type OpenTransformerOptions,
  openTransformer,
  type RunSequencesOptions,
  type Transformer,
} from './runtime/transformer.js';
export type { ApplyChatTemplate, ChatMessage, ChatTemplateOptions } from './tokenizer/chat-template.js';
export { type DecodeOptions, type EncodeOptions, openTokenizer, type Tokenizer } from './tokenizer/tokenizer.js';
