/**
 * Model architectures as data, their forward pass by blocks, tokenizer, chat template and text generation.
 * @module
 */

export { architectures } from './architectures/official.js';
export { checkTensors, describeCheckpoint } from './architectures/resolve.js';
export {
  type ArchitectureDescription,
  type AttentionStep,
  type Expert,
  type HeadDescription,
  inputsOf,
  type LinearStep,
  linearSteps,
  type MixtureStep,
  type NormStep,
  type OtherPrefixes,
  type RopeDescription,
  type RopeScaling,
  type Step,
  type StoredPart,
  storedParts,
  type WeightRef,
  weightsOf,
} from './description.js';
export { type FoldableInput, type FoldedLinear, foldableInputs } from './folds/foldable-inputs.js';
export type { Predecessor } from './folds/predecessor.js';
export { type GenerateOptions, generate } from './generation/generate.js';
export { type ModelTextGenerator, textGenerator } from './generation/text-generator.js';
export { attentionStep } from './kernels/attention-step.js';
export { headLayerNorm } from './kernels/head-layer-norm.js';
export { joinColumns } from './kernels/join-columns.js';
export { sigmoidGate } from './kernels/sigmoid-gate.js';
export { softcap } from './kernels/softcap.js';
export { takeColumns } from './kernels/take-columns.js';
export { weightedSum } from './kernels/weighted-sum.js';
export type { BlockStage, ForwardOptions, LinearInfo, Stage, TransformerBlock } from './runtime/block.js';
export type { EmbedOptions } from './runtime/embedding.js';
export { type ExecutionChoice, planExecution } from './runtime/plan-execution.js';
export type { PositionBuffers, Positions, RopeBuffers } from './runtime/position-buffers.js';
export type { CacheObserver } from './runtime/steps-context.js';
export {
  type OpenTransformerOptions,
  openTransformer,
  type RunSequencesOptions,
  type Transformer,
} from './runtime/transformer.js';
export type { ApplyChatTemplate, ChatMessage, ChatTemplateOptions } from './tokenizer/chat-template.js';
export { type DecodeOptions, type EncodeOptions, openTokenizer, type Tokenizer } from './tokenizer/tokenizer.js';
