import type { ModelFacts, PlannedTensor } from '@calibrant/core';

export interface WeightInput {
  readonly facts: ModelFacts;
  /** PyTorch's name of the type in which readers decode a weight. */
  readonly dtypeName: (planned: PlannedTensor) => string;
}
