import type { ActivationKind, AttentionAttributes } from '@calibrant/core';

/** A weight that a model needs, and the shape that the model sees (`[out, in]` for a linear layer). */
export interface WeightRef {
  /** The tensor's name in the checkpoint, or (with a list of parts in `stored`) a name for all of them. */
  readonly name: string;
  readonly shape: readonly number[];
  /**
   * How the checkpoint stores it, if not in this shape under this name: `transposed` as `[in, out]` (GPT-2's Conv1D), or as tensors whose
   * elements one after another are the weight's.
   */
  readonly stored?: 'transposed' | readonly StoredPart[];
}

/** A tensor of the checkpoint that holds (a part of) a weight. */
export interface StoredPart {
  readonly name: string;
  /** Its shape in the checkpoint. */
  readonly shape: readonly number[];
  /** Rows at its start that do not belong to the weight; none if absent. */
  readonly skipRows?: number;
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
      /**
       * Values that are normalized together. The weight's length if absent (a shorter weight than the row serves each run of the row); a whole
       * number of runs in a longer weight, so that each head has its own (layer norm without bias alone).
       */
      readonly width?: number;
    }
  | {
      readonly op: 'linear';
      readonly input: string;
      readonly output: string;
      readonly weight: WeightRef;
      readonly bias?: WeightRef;
      /** Decides instead of computing (a router, the gate of a shared expert): small, sensitive, and never quantized. */
      readonly decides?: true;
    }
  /** Cuts each row into `groups` runs and takes columns `[start, start + width)` of each: the parts of a fused projection. */
  | {
      readonly op: 'columns';
      readonly input: string;
      readonly output: string;
      readonly groups: number;
      readonly start: number;
      readonly width: number;
    }
  | { readonly op: 'scale'; readonly input: string; readonly output: string; readonly scale: number }
  /** Adds a learned vector per position, `weight [positions, hiddenSize]`. */
  | { readonly op: 'positions'; readonly input: string; readonly output: string; readonly weight: WeightRef }
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
      /** Adds {@link ArchitectureDescription.alibi} to the scores. */
      readonly alibi?: true;
    }
  | { readonly op: 'activation'; readonly input: string; readonly up?: string; readonly output: string; readonly kind: ActivationKind }
  | { readonly op: 'add'; readonly a: string; readonly b: string; readonly output: string; readonly scale?: number }
  /** `input · sigmoid(gate)`, one gate per token: `gate [tokens, 1]`. */
  | { readonly op: 'gate'; readonly input: string; readonly gate: string; readonly output: string }
  | MixtureStep;

/**
 * A mixture of experts. Each token goes to the `topK` experts with the largest router logits; the output is the sum of their outputs times the softmax
 * of the router's logits over all experts.
 */
export interface MixtureStep {
  readonly op: 'mixture';
  readonly input: string;
  /** The router's logits `[tokens, experts]`. */
  readonly router: string;
  readonly output: string;
  readonly topK: number;
  /** Whether the weights of a token's experts are divided by their sum. */
  readonly normalized: boolean;
  readonly experts: readonly Expert[];
}

/** One expert of a mixture: steps on the tokens that are routed to it, under value names of its own. */
export interface Expert {
  /** Name of the routed tokens `[routed, hiddenSize]`. */
  readonly input: string;
  readonly steps: readonly Step[];
}

export type LinearStep = Extract<Step, { op: 'linear' }>;
export type NormStep = Extract<Step, { op: 'norm' }>;
export type AttentionStep = Extract<Step, { op: 'attention' }>;

/** How the angles of a rotary embedding are made from a position. */
export interface RopeDescription {
  readonly theta: number;
  /** Dimensions of each head that turn, an even number of at most the head's size. */
  readonly dimensions: number;
  readonly scaling: RopeScaling;
}

/**
 * `linear` divides positions by a factor. `llama3` divides the low frequencies alone, with a smooth passage in between (Llama 3.1).
 * `dynamic` is the plain embedding up to `maxPositions` and undefined here beyond. `yarn` (arXiv 2309.00071) divides by a factor what turns less than
 * `betaSlow` times within the original length, leaves what turns more than `betaFast` times, and passes linearly between. `longrope`
 * (arXiv 2402.13753) divides each frequency by its own factor, by other factors for sequences beyond the original length. Both multiply
 * cosines and sines by `attentionFactor`.
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
  | { readonly kind: 'dynamic'; readonly maxPositions: number }
  | {
      readonly kind: 'yarn';
      readonly factor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalMaxPositions: number;
      readonly attentionFactor: number;
      /** Whether the passage begins and ends at whole dimensions. */
      readonly truncate: boolean;
    }
  | {
      readonly kind: 'longrope';
      readonly shortFactors: readonly number[];
      readonly longFactors: readonly number[];
      readonly originalMaxPositions: number;
      readonly attentionFactor: number;
    };

/** Starts of tensor names by the usual ones. */
export type OtherPrefixes = Readonly<Record<string, string>>;

/**
 * A model as data: embedding → blocks → head. What differs between architectures is written here, not coded in the runtime.
 * Blocks are lists of steps, so that a layer may differ from its neighbours (sliding windows, layers without positions).
 */
export interface ArchitectureDescription {
  /** The name of the architecture plug-in: Hugging Face's `model_type`. */
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
  /** Slopes of ALiBi (arXiv 2108.12409), one per head. */
  readonly alibi?: readonly number[];
  /** The table `[vocabSize, width]`, and the steps from a looked-up row (value `hidden`) to the first block's input. */
  readonly embedding: { readonly weight: WeightRef; readonly steps?: readonly Step[] };
  readonly blocks: readonly (readonly Step[])[];
  readonly head: HeadDescription;
  readonly bosTokenId?: number;
  readonly eosTokenIds: readonly number[];
  /** Starts of tensor names, and what some checkpoints have in their place (nothing for `transformer.` of GPT-2 and Bloom). */
  readonly otherPrefixes?: OtherPrefixes;
}

/** The steps between the last block and the output projection (value `hidden` in, last output out), then the projection to logits. */
export interface HeadDescription {
  readonly steps: readonly Step[];
  readonly weight: WeightRef;
  readonly bias?: WeightRef;
  readonly tied: boolean;
  /** Factor of the logits. */
  readonly scale?: number;
  /** `softcap · tanh(logit / softcap)`, after the factor. */
  readonly softcap?: number;
}

/** The weights that a list of steps reads. */
export function weightsOf(steps: readonly Step[]): WeightRef[] {
  return steps.flatMap((step) => {
    if (step.op === 'mixture') return step.experts.flatMap((expert) => weightsOf(expert.steps));
    if (step.op === 'positions') return [step.weight];
    return step.op === 'norm' || step.op === 'linear' ? [step.weight, ...(step.bias ? [step.bias] : [])] : [];
  });
}

/** The linear layers of a list of steps, those of experts in their places. */
export function linearSteps(steps: readonly Step[]): LinearStep[] {
  return steps.flatMap((step) => {
    if (step.op === 'mixture') return step.experts.flatMap((expert) => linearSteps(expert.steps));
    return step.op === 'linear' ? [step] : [];
  });
}

/** The tensors of the checkpoint that hold a weight, in their shapes there. */
export function storedParts({ name, shape, stored }: WeightRef): readonly StoredPart[] {
  if (stored === undefined) return [{ name, shape }];
  return stored === 'transposed' ? [{ name, shape: [...shape].reverse() }] : stored;
}

/** The values that a step reads. */
export function inputsOf(step: Step): string[] {
  switch (step.op) {
    case 'attention':
      return [step.query, step.key, step.value];
    case 'add':
      return [step.a, step.b];
    case 'gate':
      return [step.input, step.gate];
    case 'mixture':
      return [step.input, step.router];
    case 'activation':
      return step.up === undefined ? [step.input] : [step.input, step.up];
    default:
      return [step.input];
  }
}
