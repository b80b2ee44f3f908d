import { plainGated } from './plain-gated.js';
import { type Config, plainMath, type Vector, type Weights } from './plain-math.js';
import { plainUngated } from './plain-ungated.js';

const UNGATED = new Set(['gpt2', 'gpt_neox', 'phi', 'falcon', 'bloom', 'opt']);

/** A second implementation of the golden decoders, written from the papers and models' own code in f64 and without any of the package's code. */
export function plainForward(config: Config, weights: Weights, ids: ArrayLike<number>): Vector[] {
  return (UNGATED.has(config['model_type']) ? plainUngated : plainGated)(config, plainMath(weights), ids);
}
