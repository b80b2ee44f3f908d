import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Backend, CalibrantError, type RecipeInput, type Registry, type RunOptions, throwIfAborted } from '@calibrant/core';
import type { CalibrationStudy, StudyRun } from '@calibrant/report';
import { evaluateModel } from '../evaluate/evaluate-model.js';
import { versions } from '../evaluate/versions.js';
import { quantizeModel } from '../quantize.js';
import { type StudyMethod, studyMethod } from './method-recipe.js';
import { type PreparedSet, prepareSets } from './study-sets.js';

export interface StudyOptions extends RunOptions {
  /** Models to compare, such as an outlier twin beside the original. */
  readonly models: readonly string[];
  /** Names of the sets to compare, as the study of calibration sets takes them. */
  readonly sets: readonly string[];
  /** `gptq`, `awq`, `rtn`, `awq+gptq`, ... */
  readonly methods: readonly string[];
  /** Held-out texts to measure on. */
  readonly texts: readonly string[];
  readonly scheme: string;
  /** Sizes of the calibration sets, in sequences. */
  readonly samples: readonly number[];
  /** Tokens per sequence. */
  readonly length: number;
  readonly seeds: readonly number[];
  readonly maxWindows?: number;
  /** More of the recipe: activations, overrides, options. */
  readonly recipe?: RecipeInput;
  /** Where runs are saved as they are done; a study that was stopped goes on from there. */
  readonly saved?: string;
  readonly registry: Registry;
  readonly backend: Backend;
}

/** One model to make. */
interface Task {
  readonly model: string;
  readonly method: StudyMethod;
  readonly set?: PreparedSet;
  readonly samples?: number;
  readonly seed?: number;
}

/**
 * Calibrates every method on every set, size and seed, and measures each result against the full-precision model: how much the choice of the calibration set matters
 * (arXiv 2405.20835). The base's predictions are computed once for each text. Each quantized model is removed when it has been measured.
 *
 * @throws CalibrantError what `quantizeModel` and `evaluateModel` throw.
 */
export async function studyCalibration(options: StudyOptions): Promise<CalibrationStudy> {
  const { registry, models, texts, signal, onEvent } = options;
  expectOwnNames(models, 'models');
  expectOwnNames(texts, 'texts');
  const methods = options.methods.map((name) => studyMethod(name, registry));
  const scratch = await mkdtemp(path.join(tmpdir(), 'calibrant-study-'));
  try {
    const sets = await prepareSets(options.sets, scratch, options.seeds[0]);
    const study: CalibrationStudy = {
      schema: 'calibrant-calibration-study/v1',
      models: models.map(nameOf),
      methods: options.methods,
      sets: sets.map(({ name, kind }) => ({ name, kind })),
      texts: texts.map(nameOf),
      scheme: options.scheme,
      samples: options.samples,
      length: options.length,
      seeds: options.seeds,
      runs: [],
      versions: versions(),
    };
    const runs = await readSaved(options.saved, study);
    const tasks = models.flatMap((model) => methods.flatMap((method) => tasksOf(options, model, method, sets)));
    for (const [done, task] of tasks.entries()) {
      throwIfAborted(signal);
      onEvent?.({ phase: 'Studying', done, total: tasks.length, unit: 'models', item: describe(task) });
      if (texts.every((text) => runs.some((run) => isRunOf(run, task, text)))) continue;
      runs.push(...(await measure(options, task, scratch)));
      await save(options.saved, { ...study, runs });
    }
    onEvent?.({ phase: 'Studying', done: tasks.length, total: tasks.length, unit: 'models' });
    return { ...study, runs };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function tasksOf({ samples, seeds }: StudyOptions, model: string, method: StudyMethod, sets: readonly PreparedSet[]): Task[] {
  if (!method.calibrated) return [{ model, method }];
  return sets.flatMap((set) => samples.flatMap((size) => seeds.map((seed) => ({ model, method, set, samples: size, seed }))));
}

async function measure(options: StudyOptions, task: Task, scratch: string): Promise<StudyRun[]> {
  const { registry, backend, texts, scheme, length, maxWindows, signal } = options;
  const run = { registry, backend, ...(signal ? { signal } : {}) };
  const { model, method, set, samples, seed } = task;
  const out = path.join(scratch, 'quantized');
  const calibration =
    set && samples !== undefined && seed !== undefined ? { calibration: { ...set.calibration, samples, length, seed } } : {};
  const made = await quantizeModel({
    ...run,
    model,
    out,
    recipe: { scheme, ...options.recipe, ...method.recipe, ...calibration },
  });
  try {
    const measured: StudyRun[] = [];
    for (const text of texts) {
      const baseLogits = await baseLogitsOf(options, model, text, scratch);
      const windows = maxWindows === undefined ? {} : { maxWindows };
      const { perplexity, comparison } = await evaluateModel({ ...run, ...windows, model: openable(made.files, out), text, baseLogits });
      measured.push({
        model: nameOf(model),
        method: method.name,
        ...(set ? { set: set.name, samples: samples as number, seed: seed as number } : {}),
        text: nameOf(text),
        meanKl: { value: comparison!.meanKl, error: comparison!.meanKlStandardError },
        perplexity: perplexity.perplexity,
        basePerplexity: comparison!.basePerplexity,
        ...(made.calibration ? { calibrationTokens: made.calibration.tokens } : {}),
      });
    }
    return measured;
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

/** The base's predictions on a text: computed the first time. */
async function baseLogitsOf(options: StudyOptions, model: string, text: string, scratch: string): Promise<string> {
  const { registry, backend, maxWindows, signal } = options;
  const file = path.join(scratch, `base-${options.models.indexOf(model)}-${options.texts.indexOf(text)}.logits`);
  if (existsSync(file)) return file;
  const windows = maxWindows === undefined ? {} : { maxWindows };
  await evaluateModel({ registry, backend, ...windows, ...(signal ? { signal } : {}), model, text, saveBaseLogits: file });
  return file;
}

function openable(files: readonly string[], folder: string): string {
  return files.find((file) => file.endsWith('.gguf')) ?? folder;
}

function isRunOf(run: StudyRun, { model, method, set, samples, seed }: Task, text: string): boolean {
  return (
    run.model === nameOf(model) &&
    run.method === method.name &&
    run.set === set?.name &&
    run.samples === samples &&
    run.seed === seed &&
    run.text === nameOf(text)
  );
}

function describe({ model, method, set, samples, seed }: Task): string {
  return [
    nameOf(model),
    method.name,
    set?.name,
    samples === undefined ? undefined : `${samples} samples`,
    seed === undefined ? undefined : `seed ${seed}`,
  ]
    .filter(Boolean)
    .join(', ');
}

function nameOf(reference: string): string {
  return path.basename(reference).replace(/\.(txt|md|gguf)$/, '');
}

/** Results are told apart by names, not by folders. @throws CalibrantError `INVALID_ARGUMENT` */
function expectOwnNames(references: readonly string[], what: string): void {
  const names = references.map(nameOf);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new CalibrantError('INVALID_ARGUMENT', `Two of the ${what} are called "${twice}". Rename one of them.`, { option: what });
}

/** Runs of an earlier, stopped study of the same things. */
async function readSaved(file: string | undefined, study: CalibrationStudy): Promise<StudyRun[]> {
  if (file === undefined) return [];
  try {
    const saved = JSON.parse(await readFile(file, 'utf8')) as CalibrationStudy;
    const same = (of: CalibrationStudy) => JSON.stringify([of.schema, of.scheme, of.length, of.models, of.texts, of.versions]);
    return same(saved) === same(study) ? [...saved.runs] : [];
  } catch {
    return [];
  }
}

async function save(file: string | undefined, study: CalibrationStudy): Promise<void> {
  if (file === undefined) return;
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(study, null, 2)}\n`);
}
