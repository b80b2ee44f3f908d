import type { ActivationScheme } from '../activation-scheme.js';
import type { BufferHandle } from '../backend.js';
import type { DType } from '../dtype.js';
import type { TensorScheme } from '../scheme.js';
import type { PluginBase, QuantizerContext } from './contracts.js';

/** A linear layer of the block that a transform works on. */
export interface TransformLinear {
  /** Name of the weight, a key of the block's `weights`; f32 `[out, in]`. */
  readonly weight: string;
  /** The observation point at which its input can be seen; in an expert only the tokens that are routed to it. */
  readonly point: string;
  readonly shape: readonly [number, number];
  /** The grid that it will be quantized on; absent for what stays in floating point. */
  readonly scheme?: TensorScheme;
  /** The grid that its inputs will be rounded on; absent for inputs in floating point. */
  readonly activation?: ActivationScheme;
}

/** The norm or linear layer that makes the channels of a site: element or row `rows[j]` of it makes channel j. */
export interface SitePredecessor {
  readonly kind: 'norm' | 'linear';
  readonly weight: string;
  readonly bias?: string;
  /** Added to a norm's weight before it multiplies (1 in Gemma). */
  readonly offset: number;
  readonly rows: Int32Array;
  /** Channels that each of these rows makes; they must have one factor (query heads that share a value head). */
  readonly sharedBy: number;
  /** The float type that a norm's weight is stored in: what is folded into it is rounded to it at once, so that nothing is lost later. */
  readonly storedAs?: DType;
}

/**
 * A value that linear layers read and whose channels can be scaled without a change of the function: the predecessor divides channel j by a
 * factor, column j of every linear is multiplied by it.
 */
export interface ScalingSite {
  /** The name of the predecessor without its ending, unique in the model: `model.layers.0.input_layernorm`. */
  readonly name: string;
  /** The observation point of the value itself. */
  readonly point: string;
  readonly channels: number;
  readonly predecessor: SitePredecessor;
  /** Everything that reads the value: routers and gates (without a scheme) and the layers of all experts too. */
  readonly linears: readonly TransformLinear[];
}

/** One block of a model, as a transform sees it. */
export interface TransformBlock {
  readonly index: number;
  /** Name of the model's architecture: Hugging Face's `model_type`. */
  readonly architecture: string;
  /** The block's weights by name, f32, visible to all lanes. A transform that replaces an entry frees the one before. */
  readonly weights: Map<string, BufferHandle>;
  /** The linear layers that are not routers or gates. */
  readonly linears: readonly TransformLinear[];
  /** The sites that the transform accepted, in the order of computation. */
  readonly sites: readonly ScalingSite[];
  /** The largest magnitude of each channel over the calibration set, by point, where it is known beforehand; `observe` may not be called then. */
  readonly peaks?: ReadonlyMap<string, Float32Array>;
  /** Tokens of each calibration sequence; empty when the transform does not need calibration. */
  readonly sequences: readonly number[];
  /**
   * Runs the calibration sequences through the block with its weights as they are. `see` is called with the value `[tokens, channels]` f32 at each of the points; the handle
   * is valid during the call: enqueue work on it, do not keep it. No call comes for an expert that no token of a sequence is routed to.
   */
  observe(points: ReadonlySet<string>, see: (point: string, value: BufferHandle, sequence: number) => void): Promise<void>;
  /**
   * What becomes of a site's value in one sequence under other weights: the values up to the residual connections, `[tokens, …]` each, which become the caller's.
   * The whole attention after its norm, the whole MLP or mixture, both in parallel blocks.
   */
  recompute(site: ScalingSite, value: BufferHandle, weights: ReadonlyMap<string, BufferHandle>): Promise<readonly BufferHandle[]>;
  /** Scales the channels of a site: {@link foldFactors} on the block's weights. Returns the factors that took effect. */
  fold(site: ScalingSite, factors: Float32Array): Promise<Float32Array>;
}

/** What a transform did at one place, for the report. */
export interface TransformFacts {
  /** A site's name, or that of a weight. */
  readonly at: string;
  readonly facts: Readonly<Record<string, number | string | boolean>>;
}

/**
 * Rewrites weights so that the function stays as it is (or nearly) and quantization gets easier. Applied block by block, before the quantizer, in the order
 * of the recipe.
 */
export interface Transform<Options = unknown> extends PluginBase<'transform', Options> {
  /** `calibration` when it observes values; without it `observe` may not be called and no calibration set is made. */
  readonly needs: readonly 'calibration'[];
  /** Whether the largest magnitudes of channels are all that it asks of calibration: saved ones then serve it without a run of the model. */
  peaksSuffice?(options: Options): boolean;
  /** Whether it works at a site, or why not, as a sentence. A model without any site that fits is refused before anything is computed. */
  accepts(site: ScalingSite, options: Options): true | string;
  apply(block: TransformBlock, options: Options, context: QuantizerContext): Promise<readonly TransformFacts[]>;
}
