/**
 * What a report is made of: measurements only, no drawings. Everything but the model and its size may be missing, and the report leaves out what is.
 * Saved beside the HTML as JSON, so that other programs and `compare` read the same figures.
 */
export interface ReportData {
  readonly schema: 'calibrant-report/v1';
  readonly model: ModelIdentity;
  readonly size: SizeFigures;
  /** ISO time at which it was measured. */
  readonly made: string;
  /** Seed of everything that was drawn for it. */
  readonly seed?: number;
  /** Versions of the packages that measured, by name. */
  readonly versions: Readonly<Record<string, string>>;
  /** The recipe that made the model. */
  readonly recipe?: unknown;
  readonly calibration?: CalibrationFigures;
  /** How types were chosen, for a model made for a target size. */
  readonly target?: TargetFigures;
  readonly quality?: QualityFigures;
  readonly tasks?: readonly TaskFigures[];
  readonly longContext?: LongContextFigures;
  readonly generation?: GenerationFigures;
  /** Grids of activations and cached keys and values that the model ran with. */
  readonly execution?: { readonly activations?: string; readonly kvCache?: string };
  /** One entry for each quantized weight, in the order of the model. */
  readonly layers?: readonly LayerError[];
  /** How far hidden states have drifted behind each block, `‖ĥ − h‖² / ‖h‖²`. */
  readonly drift?: readonly number[];
  readonly channels?: readonly ChannelMagnitudes[];
  readonly ranges?: readonly ValueRanges[];
  /** Other runs of the same model, for the plot of size against quality. */
  readonly runs?: readonly RunFigures[];
}

export interface ModelIdentity {
  readonly name: string;
  /** The full-precision model: a Hub repository or the name of a folder. */
  readonly base?: string;
  /** SHA-256 over the base's files, where they are local or at a commit. */
  readonly baseSha256?: string;
  readonly architecture?: string;
  readonly parameters: number;
  readonly files?: readonly { readonly name: string; readonly bytes: number; readonly sha256?: string }[];
}

export interface SizeFigures {
  readonly bytes: number;
  /** Over all tensors, those kept in floating point included. */
  readonly bitsPerWeight: number;
  readonly baseBytes?: number;
  readonly baseBitsPerWeight?: number;
}

export interface CalibrationFigures {
  readonly source: string;
  readonly sequences: number;
  readonly tokens: number;
}

/** The trade of size against loss: sums over the tensors of the part of a layer's output that becomes noise, measured for each tensor and type. */
export interface TargetFigures extends TradePoint {
  /** The target, of tensor data. */
  readonly budgetBytes: number;
  /** No choice of types within the target has a smaller sum. */
  readonly bound: number;
  /** The best sums at other sizes: the Pareto front. */
  readonly frontier: readonly TradePoint[];
}

export interface TradePoint {
  readonly bytes: number;
  readonly bitsPerWeight: number;
  readonly loss: number;
}

export interface Estimate {
  readonly value: number;
  readonly standardError: number;
}

/** Predictions on a held-out text. */
export interface QualityFigures {
  readonly text: { readonly name: string; readonly sha256?: string; readonly tokens: number };
  readonly protocol: string;
  readonly perplexity: Estimate;
  readonly basePerplexity?: Estimate;
  readonly divergence?: DivergenceFigures;
  readonly calibration?: { readonly quantized: ReliabilityFigures; readonly base?: ReliabilityFigures };
}

/** `KL(base ‖ quantized)` in nats, over all scored tokens. */
export interface DivergenceFigures {
  readonly mean: Estimate;
  readonly median: number;
  readonly p90?: number;
  readonly p95?: number;
  readonly p99: number;
  readonly p999?: number;
  readonly max: number;
  /** Fraction of positions at which both models find the same token most likely. */
  readonly sameTop: Estimate;
  /** Counts of tokens by their divergence: bin i is `[edges[i], edges[i + 1])`. */
  readonly histogram?: { readonly edges: readonly number[]; readonly counts: readonly number[] };
}

/** How well the confidence of predictions fits how often they are right. */
export interface ReliabilityFigures {
  /** Expected calibration error of equally wide bins (Naeini et al. 2015), 0 to 1. */
  readonly ece: number;
  readonly adaptiveEce?: number;
  readonly brier?: number;
  readonly bins: readonly { readonly confidence: number; readonly accuracy: number; readonly count: number }[];
}

/** A share of right answers with its 95 % interval. */
export interface ScoreFigures {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface TaskFigures extends ScoreFigures {
  readonly name: string;
  readonly metric: string;
  readonly items: number;
  /** Solved examples before each item. */
  readonly shots?: number;
  /** Contexts that were longer than the model sees and lost their beginning. */
  readonly cut?: number;
  readonly base?: ScoreFigures;
  /** Items that the base had right and the quantized model has not, the reverse, and McNemar's exact p. */
  readonly broken?: number;
  readonly mended?: number;
  readonly pValue?: number;
  /** What guessing gives. */
  readonly chance?: number;
  /** Scores of kinds of items, such as the subjects of MMLU. */
  readonly groups?: readonly (ScoreFigures & { readonly name: string; readonly items: number; readonly base?: ScoreFigures })[];
  /** SHA-256 of the items. */
  readonly sha256?: string;
}

/** Facts hidden in long texts. */
export interface LongContextFigures {
  /** Facts per length and depth. */
  readonly trials: number;
  readonly chance: number;
  readonly quantized: LongContextSide;
  readonly base?: LongContextSide;
}

export interface LongContextSide {
  /** The right word is the most likely of the words. */
  readonly ranked: ScoreFigures;
  /** The model writes it greedily. */
  readonly generated: ScoreFigures;
  readonly cells: readonly { readonly length: number; readonly depth: number; readonly ranked: number; readonly generated: number }[];
}

/** How long greedy texts of both models stay the same. */
export interface GenerationFigures {
  readonly prompts: number;
  readonly maxTokens: number;
  /** Before the first difference, the median over prompts. */
  readonly medianTokens: number;
  /** Texts that are the same in their first `tokens` tokens. */
  readonly identical: readonly ({ readonly tokens: number } & ScoreFigures)[];
}

export interface LayerError {
  /** Name of the weight in the checkpoint. */
  readonly name: string;
  /** Index of its block; absent for the embedding and the output projection. */
  readonly block?: number;
  /** What it is in its block: `q_proj`, `down_proj`. */
  readonly role: string;
  /** The grid that it is stored on. */
  readonly scheme: string;
  /** `‖ŵ − w‖² / ‖w‖²` */
  readonly weightError: number;
  /** `‖x (ŵ − w)ᵀ‖² / ‖x wᵀ‖²` over the inputs that the full-precision model has there. */
  readonly outputError?: number;
}

/** Largest magnitude of each input channel of a layer. Wide layers are thinned: each value then stands for the largest of `channelsPerValue`. */
export interface ChannelMagnitudes {
  readonly name: string;
  readonly block?: number;
  readonly before: readonly number[];
  readonly after?: readonly number[];
  readonly channelsPerValue: number;
}

/** The values that flow into a layer, and where calibrators would clip them on one integer grid for all values. */
export interface ValueRanges {
  readonly name: string;
  /** The grid that the model rounds them to: `int8-tensor-static`, `float`. */
  readonly grid?: string;
  /** Ascending; bar i is from `edges[i]` to `edges[i + 1]`. */
  readonly edges: readonly number[];
  readonly counts: readonly number[];
  /** The model's own static range first, called `this model`, where it has one. */
  readonly marks: readonly RangeMark[];
}

/** A range, and the shares of the energy Σ x² that become noise by clipping to it and by rounding within it. */
export interface RangeMark {
  readonly calibrator: string;
  readonly low: number;
  readonly high: number;
  readonly clipping: number;
  readonly rounding: number;
}

/** One run in a comparison. */
export interface RunFigures {
  readonly name: string;
  readonly bytes: number;
  readonly bitsPerWeight: number;
  readonly meanKl?: Estimate;
  readonly perplexity?: Estimate;
  readonly sameTop?: Estimate;
  /** Expected calibration error of next-token predictions. */
  readonly ece?: number;
  readonly tasks?: readonly TaskFigures[];
  /** The run that the report is about. */
  readonly here?: boolean;
}
