import { CalibrantError } from '@calibrant/core';
import type { Step } from '../../description.js';
import type { ConfigReader } from './config-reader.js';
import { linear } from './steps.js';

export interface ExpertsPart {
  /** Start of the router's tensor: `model.layers.0.mlp.gate`. */
  readonly router: string;
  readonly hiddenSize: number;
  readonly count: number;
  readonly topK: number;
  readonly normalized: boolean;
  /** Name of the output; `mlpProjected` if absent. */
  readonly output?: string;
  /** The steps of one expert, from the value `input` on, with value names that begin with `values`. */
  readonly expert: (index: number, values: string, input: string) => Step[];
}

/** More experts than any model has in all its layers; a config that says more is broken, and must not keep us busy. */
const MAX_EXPERTS = 2 ** 17;

/** The number of experts per layer that config.json gives under a key. */
export function expertCount(config: ConfigReader, key: string, fallback: number): number {
  return config.size(key, fallback, Math.max(1, Math.floor(MAX_EXPERTS / config.size('num_hidden_layers'))));
}

/** A router and its experts, from the value `mlpInput`. */
export function experts({ router, hiddenSize, count, topK, normalized, output = 'mlpProjected', expert }: ExpertsPart): Step[] {
  if (topK > count)
    throw new CalibrantError('CORRUPT_FILE', `config.json: num_experts_per_tok (${topK}) is more than the number of experts (${count}).`, {
      file: 'config.json',
      option: 'num_experts_per_tok',
    });
  return [
    linear({ input: 'mlpInput', output: 'routerLogits', name: router, shape: [count, hiddenSize], decides: true }),
    {
      op: 'mixture',
      input: 'mlpInput',
      router: 'routerLogits',
      output,
      topK,
      normalized,
      experts: Array.from({ length: count }, (_, index) => {
        const values = `expert${index}`;
        return { input: `${values}Input`, steps: expert(index, values, `${values}Input`) };
      }),
    },
  ];
}
