import { CalibrantError } from '@calibrant/core';
import { z } from 'zod';
import { duplicateName } from './duplicate-names.js';

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** The name under which Hugging Face's libraries look for the index of a sharded model. */
export const INDEX_FILE = 'model.safetensors.index.json';

/**
 * Reads the index of a sharded model: which file holds which tensor. File names must be plain names in the same folder.
 *
 * @param file the index file, for messages
 * @returns tensor name → file name
 * @throws CalibrantError `CORRUPT_FILE`, also for a file name that leads out of the folder.
 */
export function parseSafetensorsIndex(file: string, text: string): Map<string, string> {
  const refuse = (problem: string, details: Record<string, unknown> = {}) =>
    new CalibrantError('CORRUPT_FILE', `${file} is not a valid safetensors index: ${problem}. Download or write it again.`, {
      file,
      ...details,
    });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw refuse(`it is not valid JSON (${(cause as Error).message})`, { cause });
  }
  const repeated = duplicateName(text);
  if (repeated !== undefined) throw refuse(`it holds the name "${repeated}" twice in one object`, { tensor: repeated });
  if (!indexSchema.safeParse(json).success) throw refuse('it must hold "weight_map", an object from tensor names to file names');
  // From the parsed JSON, not from zod's copy: that leaves out a tensor that is called __proto__.
  const weightMap = new Map(Object.entries((json as z.infer<typeof indexSchema>).weight_map));
  if (weightMap.size === 0) throw refuse('its "weight_map" is empty');
  for (const [tensor, shard] of weightMap) {
    if (!/^[^/\\:\0]+\.safetensors$/.test(shard) || shard.startsWith('.'))
      throw refuse(`tensor "${tensor}" is said to be in "${shard}", expected the name of a .safetensors file in the same folder`, {
        tensor,
      });
  }
  return weightMap;
}
