import type { Backend, ModelFacts } from '@calibrant/core';
import type { CompressedTensorsOptions } from '../options.js';

/** What the layouts of weights go by. */
export interface WeightInput {
  readonly facts: ModelFacts;
  readonly options: CompressedTensorsOptions;
  readonly backend: Backend;
  /** Called for a module whose groups are not contiguous. */
  readonly onOrdered: (module: string) => void;
}
