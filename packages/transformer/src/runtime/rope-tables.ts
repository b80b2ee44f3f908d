import { CalibrantError, type Tensor, tensor } from '@calibrant/core';
import type { RopeDescription } from '../description.js';

/** Cosines and sines `[length, dimensions / 2]` of the positions `[0, length)`, with the angles rounded to f32 as the references do. */
export function ropeTables(rope: RopeDescription, length: number): { cos: Tensor; sin: Tensor } {
  if (rope.scaling.kind === 'dynamic' && length > rope.scaling.maxPositions)
    throw new CalibrantError(
      'UNSUPPORTED',
      `Dynamic rotary scaling is supported up to max_position_embeddings (${rope.scaling.maxPositions}) tokens, found a sequence of ${length}. Use shorter sequences.`,
    );
  const half = rope.dimensions / 2;
  const frequencies = Float32Array.from({ length: half }, (_, i) => scaled(rope.theta ** ((-2 * i) / rope.dimensions), rope));
  const cos = new Float32Array(length * half);
  const sin = new Float32Array(length * half);
  for (let position = 0; position < length; position++)
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * frequencies[i]);
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  return { cos: tensor('f32', [length, half], cos), sin: tensor('f32', [length, half], sin) };
}

function scaled(frequency: number, { scaling }: RopeDescription): number {
  if (scaling.kind === 'linear') return frequency / scaling.factor;
  if (scaling.kind !== 'llama3') return frequency;
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
  const turns = (originalMaxPositions * frequency) / (2 * Math.PI);
  if (turns < low) return frequency / factor;
  if (turns > high) return frequency;
  const blend = (turns - low) / (high - low);
  return ((1 - blend) * frequency) / factor + blend * frequency;
}
