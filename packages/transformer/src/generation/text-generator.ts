import type { Transformer } from '../runtime/transformer.js';
import { type GenerateOptions, generate } from './generate.js';

/** A model as a writer of text, in the shape that `@calibrant/calibrators` asks for. */
export interface ModelTextGenerator {
  readonly vocabSize: number;
  readonly bosTokenId?: number;
  generate(options: GenerateOptions): Promise<Int32Array[]>;
}

/** Binds {@link generate} to a model. `bosTokenId` is the config's. */
export function textGenerator(model: Transformer): ModelTextGenerator {
  const { vocabSize, bosTokenId } = model.description;
  return { vocabSize, ...(bosTokenId === undefined ? {} : { bosTokenId }), generate: (options) => generate(model, options) };
}
