import { rename, rm } from 'node:fs/promises';
import { type InputStatistics, statisticsFromTensors, statisticsTensors } from '@calibrant/calibrators';
import { createSafetensorsWriter, fileSink, fileSource, readSafetensorsHeader, readSafetensorsTensor } from '@calibrant/checkpoint';
import { CalibrantError, type Tensor } from '@calibrant/core';
import { z } from 'zod';
import type { CalibrationSummary } from '../run/calibration.js';
import type { ModelFingerprint } from './fingerprint.js';

/** Statistics of the inputs of a model's linear layers on a calibration set. */
export interface ModelStatistics {
  readonly model: ModelFingerprint;
  readonly calibration: CalibrationSummary;
  /** By the name of the weight; layers that read one value share an entry. */
  readonly inputs: ReadonlyMap<string, InputStatistics>;
}

/** What `__metadata__` says, so that a file of another kind or version is recognized. */
export const STATISTICS_KIND = 'calibrant.statistics.v1';
const modelSchema = z.object({ name: z.string(), architecture: z.string(), config: z.string(), embedding: z.string() });
const inputsSchema = z.record(z.string(), z.array(z.string().min(1)).min(1));

/**
 * Writes statistics as a safetensors file: for each value that linear layers read the tensors `INPUT.absmax`, `.abs_sum`, `.square_sum` (per channel), `.histogram`, `.histogram_exponent`,
 * `.sequence_min`, `.sequence_max` and `.tokens`. `__metadata__` holds as JSON the `model`, the `calibration` set, and which layers read which `inputs`. It appears under its name only when complete.
 */
export async function writeStatistics(out: string, { model, calibration, inputs }: ModelStatistics): Promise<void> {
  const readers = new Map<InputStatistics, string[]>();
  for (const [name, statistics] of inputs) readers.set(statistics, [...(readers.get(statistics) ?? []), name]);
  const named = [...readers].map(([statistics, names]) => ({
    input: names[0].replace(/\.weight$/, ''),
    names,
    tensors: statisticsTensors(statistics),
  }));
  const all = named.flatMap(({ input, tensors }) => Object.entries(tensors).map(([part, value]) => ({ name: `${input}.${part}`, value })));
  const metadata = {
    format: STATISTICS_KIND,
    model: JSON.stringify(model),
    calibration: JSON.stringify(calibration),
    inputs: JSON.stringify(Object.fromEntries(named.map(({ input, names }) => [input, names]))),
  };
  const staging = `${out}.${process.pid}.part`;
  try {
    const sink = await fileSink(staging);
    const writer = await createSafetensorsWriter(
      sink,
      all.map(({ name, value: { dtype, shape } }) => ({ name, dtype, shape })),
      { metadata },
    );
    try {
      for (const { name, value } of all) await writer.write(name, value);
      await writer.finish();
    } catch (error) {
      await writer.close();
      throw error;
    }
    await rename(staging, out);
  } catch (error) {
    await rm(staging, { force: true });
    throw error;
  }
}

/** Reads what {@link writeStatistics} wrote. @throws CalibrantError `NOT_FOUND`, `CORRUPT_FILE` */
export async function readStatistics(file: string): Promise<ModelStatistics> {
  const source = await fileSource(file);
  try {
    const { tensors, metadata } = await readSafetensorsHeader(source);
    if (metadata['format'] !== STATISTICS_KIND)
      throw new CalibrantError(
        'CORRUPT_FILE',
        `${file} holds no statistics that this version reads (${STATISTICS_KIND}). Make it with calibrant calibrate.`,
        {
          file,
        },
      );
    const inputs = new Map<string, InputStatistics>();
    for (const [input, names] of Object.entries(parsed(file, metadata, 'inputs', inputsSchema))) {
      const parts: Record<string, Tensor> = {};
      for (const entry of tensors.values())
        if (entry.name.startsWith(`${input}.`)) parts[entry.name.slice(input.length + 1)] = await readSafetensorsTensor(source, entry);
      const statistics = statisticsFromTensors(parts, `${file}: ${input}`);
      for (const name of names) inputs.set(name, statistics);
    }
    return {
      model: parsed(file, metadata, 'model', modelSchema),
      calibration: parsed(file, metadata, 'calibration', z.looseObject({})) as unknown as CalibrationSummary,
      inputs,
    };
  } finally {
    await source.close();
  }
}

function parsed<T>(file: string, metadata: Readonly<Record<string, string>>, key: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(metadata[key]));
  } catch (cause) {
    throw new CalibrantError('CORRUPT_FILE', `${file}: "${key}" in its metadata cannot be read. Make it again with calibrant calibrate.`, {
      file,
      cause,
    });
  }
}
