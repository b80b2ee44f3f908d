/** Where a layer is: the index of its block, or outside of them. */
export type Place = number | 'embedding' | 'head';

/** Values per channel, downsampled for wide layers: point i is the largest value of channels `[i · perPoint, (i + 1) · perPoint)`. */
export interface ChannelProfile {
  /** Channels. */
  readonly width: number;
  readonly perPoint: number;
  readonly values: readonly number[];
}

/** How often magnitudes lie between neighbouring edges. */
export interface MagnitudeHistogram {
  /** Values that are 0 or smaller than any edge. */
  readonly zeros: number;
  /** One more than counts, rising; four to an octave. */
  readonly edges: readonly number[];
  readonly counts: readonly number[];
}

/** Counts in equal bins between `low` and `high`. */
export interface ValueHistogram {
  readonly low: number;
  readonly high: number;
  readonly counts: readonly number[];
}

/** Largest against typical weight within the channels of one side of a weight. */
export interface ChannelSpread {
  /** Largest |w| of each channel. */
  readonly absMax: ChannelProfile;
  /** The channels with the largest max |w| / median |w|, largest first. */
  readonly top: readonly { readonly channel: number; readonly absMax: number; readonly ratio: number }[];
  /** The largest of these ratios, and the median over the channels; 0 where no channel has one. */
  readonly largestRatio: number;
  readonly medianRatio: number;
  /** Channels without a ratio: more than half of their weights are 0. */
  readonly sparse: number;
}

/** What a min-max grid makes of a weight. */
export interface GridUse {
  readonly bits: number;
  /** One grid for the tensor, for each output channel, or for each group of so many weights. */
  readonly granularity: 'tensor' | 'channel' | number;
  /** Of the `2^bits` codes, those that occur. */
  readonly codesUsed: number;
  /** Entropy of the codes, in bits: at most `bits`; what is missing is lost to outliers. */
  readonly entropy: number;
}

export interface WeightOutliers {
  readonly name: string;
  readonly place: Place;
  /** `[out, in]`. */
  readonly shape: readonly [number, number];
  readonly mean: number;
  readonly deviation: number;
  readonly min: number;
  readonly max: number;
  /** Excess kurtosis: 0 for normally distributed weights. */
  readonly kurtosis: number;
  /** Share of the weights with `|w − mean| > sigmas · deviation`. */
  readonly beyond: readonly { readonly sigmas: number; readonly share: number }[];
  readonly outputChannels: ChannelSpread;
  readonly inputChannels: ChannelSpread;
  readonly histogram: ValueHistogram;
  readonly grids: readonly GridUse[];
}

/** One channel of an activation. */
export interface ChannelFigures {
  readonly channel: number;
  readonly absMax: number;
  readonly mean: number;
  readonly rms: number;
  /** Its absmax over the median of all channels'. */
  readonly ratio: number;
  /** Share of the tokens with |x| of the threshold or more. */
  readonly share: number;
}

/** What both the inputs of linear layers and the hidden states between blocks are described by. */
export interface ActivationFigures {
  readonly tokens: number;
  readonly width: number;
  readonly absMax: number;
  readonly mean: number;
  readonly rms: number;
  /** Median |x| of all values. */
  readonly median: number;
  /** Excess kurtosis of all values, and of the channels of a token: the mean over tokens and the largest. */
  readonly kurtosis: number;
  readonly tokenKurtosis: { readonly mean: number; readonly max: number };
  /** Largest channel absmax over the median channel absmax: how much of a per-tensor grid the ordinary channels lose. */
  readonly channelRatio: number;
  /** Channels with any |x| of the threshold or more. */
  readonly channelsAbove: number;
  readonly channels: { readonly absMax: ChannelProfile; readonly rms: ChannelProfile };
  /** Channels of largest absmax, exact. */
  readonly top: readonly ChannelFigures[];
  readonly histogram: MagnitudeHistogram;
}

/** The input of linear layers. */
export interface InputOutliers extends ActivationFigures {
  readonly place: Place;
  /** Name of the observation point. */
  readonly point: string;
  /** The weights that read it. */
  readonly linears: readonly string[];
  /** Whether its channels are the dimensions of the residual stream. */
  readonly residual: boolean;
}

/** One large value of a hidden state. */
export interface Peak {
  readonly sequence: number;
  readonly position: number;
  readonly dimension: number;
  readonly value: number;
}

/** The hidden states behind the embedding (`layer` 0) or behind block `layer − 1`. */
export interface HiddenStateOutliers extends ActivationFigures {
  readonly layer: number;
  /** The three largest values. */
  readonly peaks: readonly Peak[];
  /** Values that are massive by the criteria. */
  readonly massive: number;
}

/** A dimension that is an outlier in the sense of LLM.int8(). */
export interface OutlierDimension {
  readonly dimension: number;
  /** Share of the layers in which some |x| reaches the threshold. */
  readonly layers: number;
  /** Share of all hidden states (tokens times layers) in which it does. */
  readonly positions: number;
  readonly absMax: number;
}

/** A massive activation (arXiv 2402.17762). */
export interface MassiveActivation extends Peak {
  readonly layer: number;
  /** Its size in medians of the layer's hidden states. */
  readonly ratio: number;
  readonly tokenId?: number;
  readonly token?: string;
}

export interface OutlierCriteria {
  /** |x| from which a value counts as an outlier; 6 in LLM.int8() (arXiv 2208.07339). */
  readonly threshold: number;
  /** Least share of the layers and of the token positions for a dimension to be an outlier; 0.25 and 0.06 there. */
  readonly layerShare: number;
  readonly positionShare: number;
  /** A massive activation is at least so large, and so many medians (arXiv 2402.17762: 100 and 1000). */
  readonly massiveValue: number;
  readonly massiveRatio: number;
}

/** Everything that was found out about a model. Plain JSON. */
export interface OutlierReport {
  readonly version: 1;
  readonly model: string;
  readonly architecture: string;
  readonly criteria: OutlierCriteria;
  /** What the activations were observed on; absent when weights alone were looked at. */
  readonly calibration?: { readonly source: string; readonly sequences: number; readonly tokens: number };
  readonly weights: readonly WeightOutliers[];
  readonly inputs: readonly InputOutliers[];
  readonly hiddenStates: readonly HiddenStateOutliers[];
  /** Outlier dimensions of the residual stream at the inputs of linear layers. */
  readonly dimensions: readonly OutlierDimension[];
  readonly massive: {
    readonly count: number;
    /** The largest ones. */
    readonly largest: readonly MassiveActivation[];
    /** How many are in each dimension and at each kind of token, most first. */
    readonly byDimension: readonly { readonly dimension: number; readonly count: number }[];
    readonly byPosition: { readonly first: number; readonly delimiter: number; readonly other: number };
  };
  /** What it means, in sentences for a person. */
  readonly summary: readonly string[];
}
