import { rename, rm } from 'node:fs/promises';
import { hashOfTokens, type InputStatistics, statisticsFromTensors, statisticsTensors } from '@calibrant/calibrators';
import { createSafetensorsWriter, fileSink, fileSource, readSafetensorsHeader, readSafetensorsTensor } from '@calibrant/checkpoint';
import { CalibrantError, type Tensor, tensor } from '@calibrant/core';
import { z } from 'zod';
import type { CalibrationSummary } from '../run/calibration.js';
import type { ModelFingerprint } from './fingerprint.js';
import type { SavedHessians } from './hessian-file.js';

/** Statistics of the inputs of a model's linear layers on a calibration set. */
export interface ModelStatistics {
  readonly model: ModelFingerprint;
  readonly calibration: CalibrationSummary;
  /** The tokens themselves: methods that must see the model run need them. */
  readonly sequences: readonly Int32Array[];
  /** By the name of the weight; layers that read one value share an entry. */
  readonly inputs: ReadonlyMap<string, InputStatistics>;
  /** Of what a cache would hold, by block. */
  readonly caches: ReadonlyMap<number, CacheStatistics>;
  /** Where they were saved, too, and are asked for. */
  readonly hessians?: SavedHessians;
}

export interface CacheStatistics {
  readonly key: InputStatistics;
  readonly value: InputStatistics;
}

/** What `__metadata__` says, so that a file of another kind or version is recognized. */
export const STATISTICS_KIND = 'calibrant.statistics.v1';
const modelSchema = z.object({
  name: z.string(),
  architecture: z.string(),
  config: z.string(),
  embedding: z.string(),
  norms: z.string(),
  linears: z.string(),
});
const inputsSchema = z.record(z.string(), z.array(z.string().min(1)).min(1));

/**
 * Writes statistics as a safetensors file: for each value that linear layers read the tensors `INPUT.absmax`, `.abs_sum`, `.square_sum` (per channel), `.histogram`, `.histogram_exponent`,
 * `.sequence_min`, `.sequence_max` and `.tokens`; the same for `cache.BLOCK.key` and `cache.BLOCK.value`; and the tokens as `calibration.tokens` with `calibration.lengths`. `__metadata__` holds as JSON the `model`, the `calibration` set, and which layers read which `inputs`. It appears under its name only when complete.
 */
export async function writeStatistics(out: string, { model, calibration, sequences, inputs, caches }: ModelStatistics): Promise<void> {
  const readers = new Map<InputStatistics, string[]>();
  for (const [name, statistics] of inputs) readers.set(statistics, [...(readers.get(statistics) ?? []), name]);
  const named = [...readers].map(([statistics, names]) => ({
    input: names[0].replace(/\.weight$/, ''),
    names,
    tensors: statisticsTensors(statistics),
  }));
  const ofCaches = [...caches].flatMap(([block, { key, value }]) => [
    { input: `cache.${block}.key`, tensors: statisticsTensors(key) },
    { input: `cache.${block}.value`, tensors: statisticsTensors(value) },
  ]);
  const all = [
    ...[...named, ...ofCaches].flatMap(({ input, tensors }) =>
      Object.entries(tensors).map(([part, value]) => ({ name: `${input}.${part}`, value })),
    ),
    ...Object.entries(tokenTensors(sequences)).map(([name, value]) => ({ name, value })),
  ];
  const metadata = {
    format: STATISTICS_KIND,
    model: JSON.stringify(model),
    calibration: JSON.stringify(calibration),
    inputs: JSON.stringify(Object.fromEntries(named.map(({ input, names }) => [input, names]))),
    caches: JSON.stringify([...caches.keys()]),
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
    const read = async (prefix: string) => {
      const parts: Record<string, Tensor> = {};
      for (const entry of tensors.values())
        if (entry.name.startsWith(`${prefix}.`)) parts[entry.name.slice(prefix.length + 1)] = await readSafetensorsTensor(source, entry);
      return parts;
    };
    const statisticsOf = async (input: string) => statisticsFromTensors(await read(input), `${file}: ${input}`);
    const inputs = new Map<string, InputStatistics>();
    for (const [input, names] of Object.entries(parsed(file, metadata, 'inputs', inputsSchema))) {
      const statistics = await statisticsOf(input);
      for (const name of names) inputs.set(name, statistics);
    }
    const caches = new Map<number, CacheStatistics>();
    for (const block of parsed(file, metadata, 'caches', z.array(z.number().int())))
      caches.set(block, { key: await statisticsOf(`cache.${block}.key`), value: await statisticsOf(`cache.${block}.value`) });
    const calibration = parsed(file, metadata, 'calibration', z.looseObject({})) as unknown as CalibrationSummary;
    return {
      model: parsed(file, metadata, 'model', modelSchema),
      calibration,
      sequences: sequencesOf(await read('calibration'), calibration, file),
      inputs,
      caches,
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

function tokenTensors(sequences: readonly Int32Array[]): Record<string, Tensor> {
  const lengths = Int32Array.from(sequences, ({ length }) => length);
  const tokens = Int32Array.from(sequences.flatMap((ids) => [...ids]));
  return {
    'calibration.tokens': tensor('i32', [tokens.length], tokens),
    'calibration.lengths': tensor('i32', [lengths.length], lengths),
  };
}

/** The sequences again, checked by their hash. */
function sequencesOf(parts: Readonly<Record<string, Tensor>>, { sha256 }: CalibrationSummary, file: string): Int32Array[] {
  const tokens = (parts['tokens']?.data ?? new Int32Array()) as Int32Array;
  const sequences: Int32Array[] = [];
  let at = 0;
  for (const length of (parts['lengths']?.data ?? []) as Int32Array) {
    sequences.push(tokens.slice(at, at + length));
    at += length;
  }
  if (sequences.length > 0 && hashOfTokens(sequences) === sha256) return sequences;
  throw new CalibrantError(
    'CORRUPT_FILE',
    `${file}: its tokens are not those of the hash beside them. Make it again with calibrant calibrate.`,
    {
      file,
    },
  );
}
