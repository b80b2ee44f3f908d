import { CalibrantError, type Checkpoint } from '@calibrant/core';
import type { Transformer } from '@calibrant/transformer';
import { fingerprint } from './fingerprint.js';
import { type ModelStatistics, readStatistics } from './statistics-file.js';

/**
 * Reads statistics and checks that they are of this model: its config, its embedding, its norms, and the inputs of every linear layer. With `exact` also its matrices: a model that
 * was quantized without a transform has the statistics of its source otherwise.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for another model's, naming what differs
 */
export async function openStatistics(
  file: string,
  checkpoint: Checkpoint,
  transformer: Transformer,
  { exact = false } = {},
): Promise<ModelStatistics> {
  const statistics = await readStatistics(file);
  const own = await fingerprint(checkpoint, transformer);
  const refuse = (what: string) =>
    new CalibrantError(
      'INVALID_ARGUMENT',
      `The statistics ${file} are of ${statistics.model.name}, not of ${checkpoint.name}: ${what}. Make them for this model with calibrant calibrate.`,
      { file, option: '--statistics' },
    );
  if (statistics.model.architecture !== own.architecture)
    throw refuse(`the architecture is ${statistics.model.architecture}, here ${own.architecture}`);
  if (statistics.model.config !== own.config) throw refuse('config.json differs');
  if (statistics.model.embedding !== own.embedding) throw refuse('the embedding differs');
  if (statistics.model.norms !== own.norms) throw refuse('the norms or biases of its blocks differ, as after a transform or fine-tuning');
  if (exact && statistics.model.linears !== own.linears)
    throw refuse('the weights of its blocks differ, as after fine-tuning or quantizing');
  for (const { name, shape } of transformer.linears()) {
    const channels = statistics.inputs.get(name)?.peaks.length;
    if (channels !== shape[1])
      throw refuse(`${name} has ${shape[1]} inputs, the file ${channels === undefined ? 'lacks it' : `says ${channels}`}`);
  }
  return statistics;
}
