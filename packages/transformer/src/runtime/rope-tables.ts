import { CalibrantError, type Tensor, tensor } from '@calibrant/core';
import type { RopeDescription, RopeScaling } from '../description.js';

/**
 * Cosines and sines `[size, dimensions / 2]` of the positions `[0, size)`, with the angles rounded to f32 as the references do. `length` is that of the
 * sequences that they are for, on which some kinds of scaling depend.
 */
export function ropeTables(rope: RopeDescription, size: number, length = size): { cos: Tensor; sin: Tensor } {
  const { scaling } = rope;
  if (scaling.kind === 'dynamic' && size > scaling.maxPositions)
    throw new CalibrantError(
      'UNSUPPORTED',
      `Dynamic rotary scaling is supported up to max_position_embeddings (${scaling.maxPositions}) tokens, found a sequence of ${size}. Use shorter sequences.`,
    );
  const half = rope.dimensions / 2;
  const frequencies = Float32Array.from({ length: half }, (_, i) => frequency(rope, i, length));
  const factor = 'attentionFactor' in scaling ? scaling.attentionFactor : 1;
  const cos = new Float32Array(size * half);
  const sin = new Float32Array(size * half);
  for (let position = 0; position < size; position++)
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * frequencies[i]);
      cos[position * half + i] = factor * Math.cos(angle);
      sin[position * half + i] = factor * Math.sin(angle);
    }
  return { cos: tensor('f32', [size, half], cos), sin: tensor('f32', [size, half], sin) };
}

/** Whether sequences of this length have tables of their own, other than those of short ones. */
export function isLong({ scaling }: RopeDescription, length: number): boolean {
  return scaling.kind === 'longrope' && length > scaling.originalMaxPositions;
}

/** Radians per position of the pair `index`. */
function frequency(rope: RopeDescription, index: number, length: number): number {
  const { theta, dimensions, scaling } = rope;
  const plain = theta ** ((-2 * index) / dimensions);
  switch (scaling.kind) {
    case 'linear':
      return plain / scaling.factor;
    case 'llama3':
      return llama3(plain, scaling);
    case 'yarn':
      return yarn(plain, index, rope, scaling);
    case 'longrope':
      return plain / (isLong(rope, length) ? scaling.longFactors : scaling.shortFactors)[index];
    default:
      return plain;
  }
}

function llama3(plain: number, scaling: Extract<RopeScaling, { kind: 'llama3' }>): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
  const turns = (originalMaxPositions * plain) / (2 * Math.PI);
  if (turns < low) return plain / factor;
  if (turns > high) return plain;
  const blend = (turns - low) / (high - low);
  return ((1 - blend) * plain) / factor + blend * plain;
}

/**
 * YaRN's "NTK by parts". The paper's ramp (equation 18) is linear in the number of turns; its authors' code, and with it every runtime and every released
 * model, is linear in the index of the dimension between the two at which the paper's ramp begins and ends. So is this.
 */
function yarn(plain: number, index: number, rope: RopeDescription, scaling: Extract<RopeScaling, { kind: 'yarn' }>): number {
  const { factor, betaFast, betaSlow, originalMaxPositions, truncate } = scaling;
  const indexOfTurns = (turns: number): number =>
    (rope.dimensions * Math.log(originalMaxPositions / (turns * 2 * Math.PI))) / (2 * Math.log(rope.theta));
  const [first, last] = [indexOfTurns(betaFast), indexOfTurns(betaSlow)];
  const low = Math.max(0, truncate ? Math.floor(first) : first);
  const high = Math.min(rope.dimensions - 1, truncate ? Math.ceil(last) : last);
  const interpolated = Math.min(1, Math.max(0, (index - low) / (high === low ? 0.001 : high - low)));
  return (plain / factor) * interpolated + plain * (1 - interpolated);
}
