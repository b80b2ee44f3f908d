import { type CalibrationSet, calibrationSet } from '@calibrant/calibrators';
import { CalibrantError, type Recipe, type RunOptions, recipeSchema } from '@calibrant/core';
import { generate, openTokenizer, type Transformer } from '@calibrant/transformer';

/** The calibration set that a recipe asks for; its warnings are passed on as events. */
export async function calibrate(
  calibration: Recipe['calibration'],
  { transformer, onEvent, signal }: { transformer: Transformer } & RunOptions,
): Promise<CalibrationSet> {
  const options = calibration ?? defaults();
  const { maxPositions, vocabSize, bosTokenId } = transformer.description;
  if (maxPositions !== undefined && options.length > maxPositions)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `Calibration sequences of ${options.length} tokens are longer than the ${maxPositions} positions of ${transformer.checkpoint.name}. Use --length ${maxPositions} or less.`,
      { option: 'recipe.calibration.length' },
    );
  const generator = {
    vocabSize,
    bosTokenId,
    generate: (wanted: Parameters<typeof generate>[1]) => generate(transformer, wanted),
  };
  const run = { ...(onEvent ? { onEvent } : {}), ...(signal ? { signal } : {}) };
  const context = options.source === 'self' ? { generator, ...run } : { tokenizer: await openTokenizer(transformer.checkpoint), ...run };
  const set = await calibrationSet(options, context);
  for (const warning of set.warnings) onEvent?.({ warning, item: 'calibration' });
  return set;
}

function defaults(): NonNullable<Recipe['calibration']> {
  return recipeSchema.shape.calibration.unwrap().parse({});
}
