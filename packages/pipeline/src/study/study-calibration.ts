import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Backend, type RecipeInput, type Registry, type RunOptions, throwIfAborted } from '@calibrant/core';
import type { CalibrationStudy, StudyRun } from '@calibrant/report';
import { evaluateModel } from '../evaluate/evaluate-model.js';
import { versions } from '../evaluate/versions.js';
import { quantizeModel } from '../quantize.js';
import { referenceName } from '../reference-name.js';
import { type NamedRecipe, type StudyMethod, studyMethod } from './method-recipe.js';
import { readSaved, saveStudy } from './saved-study.js';
import { expectOwnNames, type OutlierTwin, type StudyModel, studyModels } from './study-models.js';
import { type PreparedSet, prepareSets } from './study-sets.js';

export interface StudyOptions extends RunOptions {
  /** Models to compare. */
  readonly models: readonly string[];
  /** Also a twin of each model that computes the same but has outlier channels: an old model beside a modern one. */
  readonly outlierTwin?: OutlierTwin;
  /** Names of the sets to compare, as the study of calibration sets takes them. */
  readonly sets: readonly string[];
  /** `gptq`, `awq`, `rtn`, `awq+gptq`, the name of a preset, or a recipe with a name. */
  readonly methods: readonly (string | NamedRecipe)[];
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
  readonly model: StudyModel;
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
  const { registry, texts, signal, onEvent } = options;
  const methods = options.methods.map((method) => studyMethod(method, registry));
  const scratch = await mkdtemp(path.join(tmpdir(), 'calibrant-study-'));
  try {
    const models = studyModels(options.models, options.outlierTwin, scratch, runOf(options));
    for (const [names, what] of [
      [models.map(({ name }) => name), 'models'],
      [texts.map(referenceName), 'texts'],
      [methods.map(({ name }) => name), 'methods'],
    ] as const)
      expectOwnNames(names, what);
    const sets = await prepareSets(options.sets, scratch, options.seeds[0]);
    const study = describeStudy(options, models, methods, sets);
    const runs = await readSaved(options.saved, study);
    const tasks = models.flatMap((model) => methods.flatMap((method) => tasksOf(options, model, method, sets)));
    const wanted = (run: StudyRun) => tasks.some((task) => texts.some((text) => isRunOf(run, task, text)));
    for (const [done, task] of tasks.entries()) {
      throwIfAborted(signal);
      onEvent?.({ phase: 'Studying', done, total: tasks.length, unit: 'models', item: describe(task) });
      if (texts.every((text) => runs.some((run) => isRunOf(run, task, text)))) continue;
      runs.push(...(await measure(options, task, scratch)));
      await saveStudy(options.saved, { ...study, runs });
    }
    onEvent?.({ phase: 'Studying', done: tasks.length, total: tasks.length, unit: 'models' });
    return { ...study, runs: runs.filter(wanted) };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function describeStudy(
  { scheme, samples, length, seeds, texts, maxWindows, outlierTwin, recipe }: StudyOptions,
  models: readonly StudyModel[],
  methods: readonly StudyMethod[],
  sets: readonly PreparedSet[],
): CalibrationStudy {
  return {
    schema: 'calibrant-calibration-study/v1',
    models: models.map(({ name }) => name),
    ...(outlierTwin ? { outlierTwin } : {}),
    methods: methods.map(({ name }) => name),
    recipes: Object.fromEntries(methods.map((method) => [method.name, { scheme, ...recipe, ...method.recipe }])),
    sets: sets.map(({ name, kind }) => ({ name, kind })),
    texts: texts.map(referenceName),
    scheme,
    samples,
    length,
    ...(maxWindows === undefined ? {} : { windows: maxWindows }),
    seeds,
    runs: [],
    versions: versions(),
  };
}

function tasksOf({ samples, seeds }: StudyOptions, model: StudyModel, method: StudyMethod, sets: readonly PreparedSet[]): Task[] {
  if (!method.calibrated) return [{ model, method }];
  return sets.flatMap((set) => samples.flatMap((size) => seeds.map((seed) => ({ model, method, set, samples: size, seed }))));
}

async function measure(options: StudyOptions, task: Task, scratch: string): Promise<StudyRun[]> {
  const { texts, scheme, length, maxWindows } = options;
  const run = runOf(options);
  const { model, method, set, samples, seed } = task;
  const [started, usage] = [performance.now(), process.cpuUsage()];
  await model.prepare?.();
  const out = path.join(scratch, 'quantized');
  const calibration =
    set && samples !== undefined && seed !== undefined ? { calibration: { ...set.calibration, samples, length, seed } } : {};
  const made = await quantizeModel({
    ...run,
    model: model.reference,
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
        model: model.name,
        method: method.name,
        ...(set ? { set: set.name, samples: samples as number, seed: seed as number } : {}),
        text: referenceName(text),
        meanKl: { value: comparison!.meanKl, standardError: comparison!.meanKlStandardError },
        perplexity: perplexity.perplexity,
        basePerplexity: comparison!.basePerplexity,
        ...(made.calibration ? { calibrationTokens: made.calibration.tokens } : {}),
      });
    }
    const { user, system } = process.cpuUsage(usage);
    const share = 1 / texts.length;
    const spent = { seconds: (share * (performance.now() - started)) / 1e3, cpuSeconds: (share * (user + system)) / 1e6 };
    return measured.map((each) => ({ ...each, ...spent }));
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

/** The base's predictions on a text: computed the first time. */
async function baseLogitsOf(options: StudyOptions, model: StudyModel, text: string, scratch: string): Promise<string> {
  const { maxWindows } = options;
  const file = path.join(scratch, `base ${model.name.replaceAll(path.sep, '-')} ${options.texts.indexOf(text)}.logits`);
  if (existsSync(file)) return file;
  const windows = maxWindows === undefined ? {} : { maxWindows };
  await evaluateModel({ ...runOf(options), ...windows, model: model.reference, text, saveBaseLogits: file });
  return file;
}

function runOf({ registry, backend, signal }: StudyOptions): Pick<StudyOptions, 'registry' | 'backend' | 'signal'> {
  return { registry, backend, ...(signal ? { signal } : {}) };
}

function openable(files: readonly string[], folder: string): string {
  return files.find((file) => file.endsWith('.gguf')) ?? folder;
}

function isRunOf(run: StudyRun, { model, method, set, samples, seed }: Task, text: string): boolean {
  return (
    run.model === model.name &&
    run.method === method.name &&
    run.set === set?.name &&
    run.samples === samples &&
    run.seed === seed &&
    run.text === referenceName(text)
  );
}

function describe({ model, method, set, samples, seed }: Task): string {
  return [
    model.name,
    method.name,
    set?.name,
    samples === undefined ? undefined : `${samples} samples`,
    seed === undefined ? undefined : `seed ${seed}`,
  ]
    .filter(Boolean)
    .join(', ');
}
