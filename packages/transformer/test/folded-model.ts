import { type Checkpoint, createRng, type Tensor, tensor } from '@calibrant/core';
import { type FoldableInput, foldableInputs, type WeightRef } from '@calibrant/transformer';
import { memoryCheckpoint } from './safetensors-checkpoint.js';
import { describeConfig } from './variant-model.js';

/** A model in which every foldable input is divided by random powers of two per channel, in plain loops. */
export function foldedModel(name: string, config: Record<string, unknown>, weights: ReadonlyMap<string, Tensor>): Checkpoint {
  const random = createRng(21);
  const changed = new Map(
    [...weights].map(([key, value]) => [key, tensor('f32', value.shape, new Float32Array(value.data as Float32Array))]),
  );
  for (const input of foldableInputs(describeConfig(config))) if (input.previous) fold(input);
  return memoryCheckpoint(name, config, changed);

  function fold({ previous, linears, width }: FoldableInput): void {
    const { weight, bias, offset, rows, kind } = previous!;
    const ofRow = new Map<number, number>();
    for (const row of rows) if (!ofRow.has(row)) ofRow.set(row, 2 ** (random.integer(7) - 3));
    const count = kind === 'norm' ? 1 : weight.shape[1];
    for (const [row, s] of ofRow) {
      for (let i = 0; i < count; i++) change(weight, row, i, (value) => (value + offset) / s - offset);
      if (bias) change(bias, row, 0, (value) => value / s);
    }
    for (const linear of linears)
      for (let row = 0; row < linear.weight.shape[0]; row++)
        for (let channel = 0; channel < width; channel++) change(linear.weight, row, channel, (value) => value * ofRow.get(rows[channel])!);
  }

  function change({ name: key, shape, stored }: WeightRef, row: number, column: number, by: (value: number) => number): void {
    const { data } = changed.get(key)!;
    const at = stored === 'transposed' ? column * shape[0] + row : row * (shape[1] ?? 1) + column;
    data[at] = by(data[at] as number);
  }
}
