import { rm, stat } from 'node:fs/promises';
import {
  type Backend,
  CalibrantError,
  parseRecipe,
  type RecipeInput,
  type Registry,
  type RunOptions,
  throwIfAborted,
} from '@calibrant/core';
import type { Transformer } from '@calibrant/transformer';
import { openModel } from '../open-model.js';
import { openRegistered } from '../open-transformer.js';
import { type CalibrationSummary, calibrate } from '../run/calibration.js';
import { collectInputs } from './collect-inputs.js';
import { fingerprint } from './fingerprint.js';
import { createHessianFile, type HessianInput, hessianFileOf } from './hessian-file.js';
import { type ModelStatistics, writeStatistics } from './statistics-file.js';

export interface StatisticsOptions extends RunOptions {
  /** A folder, a file, or a Hub repository. */
  readonly model: string;
  readonly calibration?: RecipeInput['calibration'];
  /** The file to write. It appears only when complete. */
  readonly out: string;
  /** Also keep the Hessian of every input in a file beside `out`, `statistics.hessians.safetensors`, for GPTQ. It takes 2 · in² bytes for each. */
  readonly hessians?: boolean;
  /** Replace it when it exists. */
  readonly force?: boolean;
  /** A text that the model will be measured on: a calibration set far from it is warned about. */
  readonly compareText?: string;
  readonly registry: Registry;
  readonly backend: Backend;
}

/** The input of some linear layers, for people. */
export interface InputSummary {
  readonly layers: readonly string[];
  readonly channels: number;
  readonly tokens: number;
  readonly min: number;
  readonly max: number;
  /** Of the root mean squares of the channels. */
  readonly rms: number;
  /** The greatest channel's peak over the median channel's: outlier channels make it large. */
  readonly peakRatio: number;
  /** Channels that are 0 on every token. */
  readonly deadChannels: number;
}

export interface StatisticsResult {
  readonly model: string;
  readonly out: string;
  /** The file of Hessians, where they were asked for. */
  readonly hessians?: string;
  readonly calibration: CalibrationSummary;
  readonly inputs: readonly InputSummary[];
  readonly seconds: number;
}

/**
 * Runs a model once on a calibration set and keeps statistics of the input of every linear layer in a file, for many recipes. Warns of inputs that are constant or were never reached.
 *
 * @throws CalibrantError `OUTPUT_EXISTS`, `NON_FINITE` naming the layer that NaN or infinite values reach, and those of models and calibration sets
 * @example
 * await makeStatistics({ model: './my-model', calibration: { source: 'file', path: 'notes.txt' }, out: 'statistics.safetensors', registry, backend });
 */
export async function makeStatistics(options: StatisticsOptions): Promise<StatisticsResult> {
  const started = performance.now();
  const { model, out, registry, backend, compareText, onEvent, signal } = options;
  if (!options.force && (await stat(out).catch(() => undefined)))
    throw new CalibrantError('OUTPUT_EXISTS', `${out} exists already. Choose another name, or replace it with --force.`, { file: out });
  const recipe = parseRecipe(options.calibration ? { calibration: options.calibration } : {});
  const checkpoint = await openModel(model, options);
  try {
    const transformer = openRegistered(checkpoint, backend, registry);
    try {
      const run = { ...(onEvent ? { onEvent } : {}), ...(signal ? { signal } : {}) };
      const set = await calibrate(recipe.calibration, { transformer, compareText, ...run });
      const { sequences, summary: calibration } = set;
      const identity = await fingerprint(checkpoint, transformer);
      if (options.hessians && checkpoint.execution)
        throw new CalibrantError(
          'UNSUPPORTED',
          `${checkpoint.name} rounds its activations; Hessians are for quantizing a model in full precision. Leave out --hessians.`,
          { option: '--hessians' },
        );
      const beside = hessianFileOf(out);
      const hessians = options.hessians
        ? await createHessianFile(beside, inputsOf(transformer), { model: identity, tokens: calibration.sha256 })
        : undefined;
      try {
        const found = await collectInputs(transformer, sequences, run, hessians);
        const summaries = summarize(found.inputs);
        warnOfInputs(summaries, run);
        throwIfAborted(signal);
        await writeStatistics(out, { model: identity, calibration, sequences, ...found });
        if (hessians) await hessians.finish();
        else await rm(beside, { force: true }); // of statistics that are replaced
        const seconds = (performance.now() - started) / 1000;
        return { model, out, ...(hessians ? { hessians: beside } : {}), calibration, inputs: summaries, seconds };
      } catch (error) {
        await hessians?.abort();
        throw error;
      }
    } finally {
      await transformer.release();
    }
  } finally {
    await checkpoint.close();
  }
}

/** The values that linear layers of blocks read. */
function inputsOf({ description, block }: Transformer): HessianInput[] {
  return description.blocks.flatMap((_, index) =>
    block(index).stages.map(({ linears }) => ({ names: linears.map(({ name }) => name), channels: linears[0].shape[1] })),
  );
}

function summarize(inputs: ModelStatistics['inputs']): InputSummary[] {
  return [...new Set(inputs.values())].map((statistics) => {
    const { peaks, squares, tokens, sequenceLows, sequenceHighs } = statistics;
    const sorted = peaks.slice().sort();
    const median = sorted[Math.floor(sorted.length / 2)];
    return {
      layers: [...inputs].filter(([, of]) => of === statistics).map(([name]) => name),
      channels: peaks.length,
      tokens,
      min: sequenceLows.reduce((least, value) => Math.min(least, value), 0),
      max: sequenceHighs.reduce((most, value) => Math.max(most, value), 0),
      rms: Math.sqrt(squares.reduce((sum, value) => sum + value, 0) / Math.max(1, tokens * peaks.length)),
      peakRatio: (sorted.at(-1) ?? 0) / (median || 1),
      deadChannels: peaks.reduce((count, peak) => count + Number(peak === 0), 0),
    };
  });
}

function warnOfInputs(inputs: readonly InputSummary[], { onEvent }: RunOptions): void {
  const name = ({ layers }: InputSummary) => layers[0];
  const unreached = inputs.filter(({ tokens }) => tokens === 0);
  if (unreached.length > 0)
    onEvent?.({
      warning: `No calibration token reached ${unreached.length} inputs, such as that of ${name(unreached[0])}: use more text for these experts.`,
      item: 'calibration',
    });
  const zero = inputs.filter(({ tokens, channels, deadChannels }) => tokens > 0 && deadChannels === channels);
  if (zero.length > 0)
    onEvent?.({
      warning: `${zero.length} inputs are 0 on every token, such as that of ${name(zero[0])}: nothing can be learnt for these layers, and their weights do not matter on this text.`,
      item: 'calibration',
    });
}
