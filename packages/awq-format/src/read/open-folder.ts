import { type CodedWeight, codedFolder, lastTensor } from '@calibrant/checkpoint';
import type { Checkpoint, FormatContext } from '@calibrant/core';
import { openAwqWeight, PART_NAMES } from './awq-weight.js';
import { readSettings } from './settings.js';

/**
 * An AWQ folder as an ordinary checkpoint: each packed layer appears as `X.weight` in f32. Undefined for any other checkpoint.
 *
 * @throws CalibrantError `UNSUPPORTED` for layouts other than GEMM, `CORRUPT_FILE` for layers whose parts do not fit.
 */
export async function openAwqFolder(checkpoint: Checkpoint, { backend }: FormatContext): Promise<Checkpoint | undefined> {
  const settings = await readSettings(checkpoint);
  if (!settings) return undefined;
  const modules = [...checkpoint.tensors.keys()]
    .filter((name) => name.endsWith('.qweight'))
    .map((name) => name.slice(0, -'.qweight'.length));
  const whole = lastTensor(checkpoint);
  const weights: CodedWeight[] = [];
  for (const module of modules) weights.push(await openAwqWeight(module, { checkpoint, backend, whole, settings }));
  const parts = new Set(modules.flatMap((module) => PART_NAMES.map((part) => `${module}.${part}`)));
  return codedFolder(checkpoint, { weights, parts, backend });
}
