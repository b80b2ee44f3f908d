import type { ActivationKind, AttentionAttributes } from '@calibrant/core';

/** A tensor of the checkpoint that a model needs, and the shape that it must have there (`[out, in]` for a linear layer). */
export interface WeightRef {
  readonly name: string;
  readonly shape: readonly number[];
}

/**
 * One operation of a block. Values are named; each name is written once, and the block's input is called `hidden`. The input of a
 * `linear` step is its observation point: linear layers that read the same value share it.
 */
export type Step =
  | {
      readonly op: 'norm';
      readonly kind: 'rms' | 'layer';
      readonly input: string;
      readonly output: string;
      readonly weight: WeightRef;
      readonly bias?: WeightRef;
      readonly eps: number;
      /** Added to the weight (RMS norm alone). */
      readonly offset?: number;
    }
  | { readonly op: 'linear'; readonly input: string; readonly output: string; readonly weight: WeightRef; readonly bias?: WeightRef }
  | {
      readonly op: 'rope';
      readonly input: string;
      readonly output: string;
      /** A key of {@link ArchitectureDescription.rope}. */
      readonly table: string;
      readonly headDim: number;
      readonly style: 'half' | 'interleaved';
    }
  | {
      readonly op: 'attention';
      readonly query: string;
      readonly key: string;
      readonly value: string;
      readonly output: string;
      readonly attributes: AttentionAttributes;
    }
  | { readonly op: 'activation'; readonly input: string; readonly up?: string; readonly output: string; readonly kind: ActivationKind }
  | { readonly op: 'add'; readonly a: string; readonly b: string; readonly output: string; readonly scale?: number };

export type LinearStep = Extract<Step, { op: 'linear' }>;
export type NormStep = Extract<Step, { op: 'norm' }>;

/** How the angles of a rotary embedding are made from a position. */
export interface RopeDescription {
  readonly theta: number;
  /** Dimensions of each head that turn, an even number of at most the head's size. */
  readonly dimensions: number;
  readonly scaling: RopeScaling;
}

/**
 * `linear` divides positions by a factor. `llama3` divides the low frequencies alone, with a smooth passage in between (Llama 3.1).
 * `dynamic` is the plain embedding up to `maxPositions` and undefined here beyond.
 */
export type RopeScaling =
  | { readonly kind: 'none' }
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalMaxPositions: number;
    }
  | { readonly kind: 'dynamic'; readonly maxPositions: number };

/**
 * A model as data: embedding → blocks → head. What differs between architectures is written here, not coded in the runtime.
 * Blocks are lists of steps, so that a layer may differ from its neighbours (sliding windows, layers without positions).
 */
export interface ArchitectureDescription {
  /** The name of the architecture plug-in. */
  readonly name: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Positions that the model was made for; undefined when the config does not say. */
  readonly maxPositions?: number;
  /** Rotary tables by name. */
  readonly rope: Readonly<Record<string, RopeDescription>>;
  /** `[vocabSize, hiddenSize]`. */
  readonly embedding: { readonly weight: WeightRef };
  readonly blocks: readonly (readonly Step[])[];
  /** The steps between the last block and the output projection (value `hidden` in, last output out), then the projection to logits. */
  readonly head: { readonly steps: readonly Step[]; readonly weight: WeightRef; readonly tied: boolean };
  readonly bosTokenId?: number;
  readonly eosTokenIds: readonly number[];
}

/** The tensors that a list of steps reads. */
export function weightsOf(steps: readonly Step[]): WeightRef[] {
  return steps.flatMap((step) => (step.op === 'norm' || step.op === 'linear' ? [step.weight, ...(step.bias ? [step.bias] : [])] : []));
}

/** The values that a step reads. */
export function inputsOf(step: Step): string[] {
  switch (step.op) {
    case 'attention':
      return [step.query, step.key, step.value];
    case 'add':
      return [step.a, step.b];
    case 'activation':
      return step.up === undefined ? [step.input] : [step.input, step.up];
    default:
      return [step.input];
  }
}
