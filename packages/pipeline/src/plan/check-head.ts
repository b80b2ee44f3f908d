import { CalibrantError, type Format, type Recipe } from '@calibrant/core';
import type { ArchitectureDescription } from '@calibrant/transformer';

/**
 * The output projection that a recipe asks to quantize beside the linear layers of the blocks; undefined when it asks for none.
 *
 * @throws CalibrantError `UNSUPPORTED` where the model has none of its own, or readers of the format would not load it.
 */
export function quantizedHead(recipe: Recipe, { head }: ArchitectureDescription, format: Format, model: string): string | undefined {
  if (!recipe.quantizeLmHead) return undefined;
  const refuse = (why: string) => {
    throw new CalibrantError('UNSUPPORTED', `${why} Leave out quantizeLmHead (--quantize-lm-head).`, { option: 'recipe.quantizeLmHead' });
  };
  const { name } = head.weight;
  if (head.tied)
    refuse(
      `${model} uses its embedding as output projection (tied weights), and an embedding is looked up by rows, not multiplied: there is no lm_head to quantize.`,
    );
  if (format.lmHead !== true)
    refuse(
      `The format "${format.name}" does not take a quantized output projection${format.lmHead === undefined ? '' : `: ${format.lmHead}`}.`,
    );
  if (name !== 'lm_head.weight')
    refuse(`Readers of the format "${format.name}" look for a quantized lm_head, and ${model} calls its output projection ${name}.`);
  if (recipe.activations !== undefined)
    refuse(
      'With activations on a grid, readers would round the inputs of the output projection as well, which costs far more than it saves.',
    );
  return name;
}
