import type { ArchitectureDescription, HeadDescription, OtherPrefixes, RopeDescription, Step, WeightRef } from '../../description.js';
import type { ConfigReader } from './config-reader.js';
import type { DecoderSizes } from './sizes.js';

/** More layers than any model has; a config that says more is broken, and must not keep us busy. */
const MAX_LAYERS = 4096;

export interface ModelParts {
  readonly name: string;
  readonly config: ConfigReader;
  readonly sizes: DecoderSizes;
  readonly rope?: Readonly<Record<string, RopeDescription>>;
  readonly alibi?: readonly number[];
  /** The table's tensor; `width` is the hidden size if absent. */
  readonly embedding: { readonly name: string; readonly width?: number; readonly steps?: readonly Step[] };
  readonly block: (layer: number) => Step[];
  /** The steps before the projection, and the projection's tensor where it is not the embedding's. */
  readonly head: Pick<HeadDescription, 'steps' | 'scale' | 'softcap'> & {
    readonly name: string;
    readonly tied: boolean;
    readonly bias?: string;
  };
  readonly otherPrefixes?: OtherPrefixes;
}

/** Puts a description together, with what all architectures read alike from config.json. */
export function describeModel({
  name,
  config,
  sizes,
  rope = {},
  alibi,
  embedding,
  block,
  head,
  otherPrefixes,
}: ModelParts): ArchitectureDescription {
  const vocabSize = config.size('vocab_size');
  const { width = sizes.hiddenSize, steps } = embedding;
  const table: WeightRef = { name: embedding.name, shape: [vocabSize, width] };
  const bosTokenId = config.ids('bos_token_id')[0];
  const maxPositions = config.optionalSize('max_position_embeddings');
  const { name: projection, bias, ...rest } = head;
  return {
    name,
    vocabSize,
    ...sizes,
    ...(maxPositions === undefined ? {} : { maxPositions }),
    rope,
    ...(alibi ? { alibi } : {}),
    embedding: { weight: table, ...(steps && steps.length > 0 ? { steps } : {}) },
    blocks: Array.from({ length: config.size('num_hidden_layers', undefined, MAX_LAYERS) }, (_, layer) => block(layer)),
    head: {
      ...rest,
      weight: head.tied ? table : { name: projection, shape: [vocabSize, width] },
      ...(bias === undefined ? {} : { bias: { name: bias, shape: [vocabSize] } }),
    },
    ...(bosTokenId === undefined ? {} : { bosTokenId }),
    eosTokenIds: config.ids('eos_token_id'),
    ...(otherPrefixes ? { otherPrefixes } : {}),
  };
}
