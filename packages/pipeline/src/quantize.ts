import path from 'node:path';
import { createAtomicFolder } from '@calibrant/checkpoint';
import {
  type Backend,
  bindCalibrator,
  type Checkpoint,
  type FormatInput,
  type ImportanceOrigin,
  type ModelFacts,
  parseOptions,
  parseRecipe,
  type RecipeInput,
  type Registry,
  type RunOptions,
  throwIfAborted,
} from '@calibrant/core';
import { planForTarget } from './allocate/target-plan.js';
import { describeOutput } from './describe-output.js';
import { bindActivationCalibrator, checkActivationCalibrator } from './execution/activation-calibrator.js';
import { dynamicPart, executionReport, recipePlan } from './execution/recipe-plan.js';
import { checkCoverage } from './importance/check-importance.js';
import { openImportance } from './importance/recipe-importance.js';
import type { Journal } from './journal/journal.js';
import { openRunJournal } from './journal/run-journal.js';
import { openModel } from './open-model.js';
import { openRegistered } from './open-transformer.js';
import { checkOrder, idleCalibrationOptions, observesModel } from './plan/check-calibration.js';
import { checkCalibrator } from './plan/check-calibrator.js';
import { checkDiskSpace } from './plan/check-disk-space.js';
import { quantizedHead } from './plan/check-head.js';
import { checkOrientation } from './plan/check-orientation.js';
import { localInputs } from './plan/local-inputs.js';
import { makePlan } from './plan/make-plan.js';
import { methodOptions } from './plan/method-options.js';
import { provenance, type QuantizeResult, summarize, withFacts } from './quantize-result.js';
import { calibrate, calibrationSources } from './run/calibration.js';
import { checkGrids } from './run/targets.js';
import { writeTensors } from './run/write-tensors.js';
import { servingWarnings } from './serving/check-serving.js';
import { recipeStatistics } from './statistics/reuse.js';
import type { ModelStatistics } from './statistics/statistics-file.js';
import { planTransforms, recipeTransforms, transformReports } from './transform/plan-transforms.js';

/** Saved with every output: the recipe and what was done. Its presence says that a folder may be replaced. */
export const PROVENANCE_FILE = 'calibrant.json';

export interface QuantizeOptions extends RunOptions {
  /** A folder, a file, or a Hub repository. */
  readonly model: string;
  readonly recipe: RecipeInput;
  /** The folder to write. It appears only when complete. */
  readonly out: string;
  /** Replace an earlier output in it. Folders of other origin, and what the run reads, are never replaced. */
  readonly force?: boolean;
  /** Plan and check alone. */
  readonly dryRun?: boolean;
  /** Numbers of GPUs that the model is to be split over when it is served: the plan is checked against them. From 2 billion weights 2, 4 and 8 if absent. */
  readonly gpus?: readonly number[];
  /** A text that the model will be measured on: a calibration set far from it is warned about. */
  readonly compareText?: string;
  /**
   * Seconds between notes of what is finished, in a hidden folder beside `out`: the same call goes on there after it was killed. The folder is removed when the
   * output is complete. Without it no notes are taken.
   */
  readonly journalEvery?: number;
  readonly registry: Registry;
  readonly backend: Backend;
}

/**
 * Runs a recipe: opens the model, plans every tensor, quantizes in one pass with bounded memory, reads the output back, and only then gives it
 * its name.
 *
 * @throws CalibrantError that names what was wrong; nothing is left under `out` then.
 * @example
 * await quantizeModel({ model: 'org/name', out: 'name-q4', recipe: { scheme: 'Q4_K_M', format: 'gguf' }, registry, backend });
 */
export async function quantizeModel(options: QuantizeOptions): Promise<QuantizeResult> {
  const started = performance.now();
  const recipe = parseRecipe(options.recipe);
  const { registry } = options;
  const quantizer = registry.get('quantizer', recipe.quantizer.name);
  const format = registry.get('format', recipe.format.name);
  const quantizerOptions = methodOptions(recipe, quantizer);
  const formatOptions = parseOptions(format.options, recipe.format.options, 'recipe.format.options');
  const calibrator = recipe.calibrator ? bindCalibrator(registry, recipe.calibrator) : undefined;
  const activationCalibrator = bindActivationCalibrator(recipe, registry);
  const transforms = recipeTransforms(recipe, registry);

  const target = { force: options.force ?? false, marker: PROVENANCE_FILE, protect: localInputs(options.model, recipe) };
  const folder = options.dryRun ? undefined : await createAtomicFolder(options.out, target);
  let checkpoint: Checkpoint | undefined;
  let journal: Journal | undefined;
  let statistics: ModelStatistics | undefined;
  let complete = false;
  try {
    checkpoint = await openModel(options.model, options);
    throwIfAborted(options.signal);
    const transformer = openRegistered(checkpoint, options.backend, registry);
    warnWhenQuantized(checkpoint, options);
    const lmHead = quantizedHead(recipe, transformer.description, format, checkpoint.name);
    const modelFacts: ModelFacts = {
      config: checkpoint.config,
      architecture: transformer.description.name,
      tensors: checkpoint.tensors,
      linears: new Set([...transformer.linears().map(({ name }) => name), ...(lmHead === undefined ? [] : [lmHead])]),
    };
    statistics = await recipeStatistics(recipe, checkpoint, transformer, options);
    const bare: FormatInput = { checkpoint, facts: modelFacts, recipe };
    const importance = await openImportance(recipe, format, formatOptions, bare, transformer, options);
    const facts: ModelFacts = importance ? { ...modelFacts, importance: importance.covered } : modelFacts;
    const input: FormatInput = { ...bare, facts };
    const bySchemes = await makePlan(recipe, format, formatOptions, input, registry, options);
    checkOrientation(bySchemes, transformer.linears());
    if (importance) importance.check(bySchemes);
    else checkCoverage(bySchemes, undefined, recipe.scheme.name);
    const forTarget = recipe.target ? await importance?.matrix(bySchemes) : undefined;
    const { head, blocks } = transformer.description;
    const sized = recipe.target
      ? await planForTarget({
          ...options,
          recipe,
          plan: bySchemes,
          checkpoint,
          facts,
          matrix: forTarget?.matrix,
          format,
          formatOptions,
          input: withOrigin(input, forTarget),
          head: { name: head.weight.name, blocks: blocks.length },
        })
      : undefined;
    const plan = sized?.plan ?? bySchemes;
    checkGrids(quantizer, plan, facts.linears, options);
    if (calibrator) checkCalibrator(calibrator.name, plan);
    const execution = recipePlan(recipe, transformer.description, format, plan);
    checkActivationCalibrator(recipe, execution);
    const planned = planTransforms(transforms, transformer.description, plan, execution, options);
    checkOrder(recipe, format.name, plan);
    const observes = observesModel([quantizer, ...transforms.map(({ transform }) => transform)], execution);
    for (const warning of idleCalibrationOptions({ recipe, observes, execution })) options.onEvent?.({ warning, item: 'recipe' });
    for (const warning of servingWarnings(plan, facts, format.name, { recipe, gpus: options.gpus }))
      options.onEvent?.({ warning, item: 'serving' });
    const summary = { ...summarize(options, recipe, plan, checkpoint), ...(sized ? { target: sized.report } : {}) };
    if (!folder) {
      const sources = calibrationSources(recipe.calibration ?? { source: 'self' });
      if (observes && !statistics && sources.every((source) => ['file', 'folder'].includes(source)))
        await calibrate(recipe.calibration, { ...options, transformer });
      return { ...summary, seconds: (performance.now() - started) / 1000 };
    }

    await checkDiskSpace(folder.stagingPath, plan);
    const weighed = await importance?.matrix(plan);
    const forWriter = { ...withOrigin(input, weighed), ...(execution ? { execution } : {}) };
    const writer = await format.open(forWriter, plan, folder, formatOptions, options);
    if (quantizer.needs.length > 0 || planned.length > 0)
      journal = await openRunJournal(options, checkpoint, { recipe, plan, importance: weighed?.matrix });
    const observed =
      execution && recipe.roundedCalibration ? openRegistered(checkpoint, options.backend, registry, dynamicPart(execution)) : transformer;
    let written: Awaited<ReturnType<typeof writeTensors>>;
    let files: readonly string[];
    try {
      written = await writeTensors({
        ...options,
        recipe,
        transforms: planned,
        quantizer,
        quantizerOptions,
        calibrator,
        plan,
        writer,
        transformer: observed,
        importance: weighed?.matrix,
        execution,
        activationCalibrator,
        statistics,
        journal,
      });
      files = await writer.finish();
    } catch (error) {
      await writer.abort();
      throw error;
    } finally {
      await Promise.all([transformer.release(), observed.release()]);
    }
    const actual = await describeOutput(folder.stagingPath, files, options);
    const result: QuantizeResult = {
      ...summary,
      ...actual,
      files: files.map((file) => path.join(options.out, file)),
      tensors: summary.tensors.map((tensor) => withFacts(tensor, plan, written.facts)),
      ...(planned.length > 0 ? { transforms: transformReports(planned, written.transforms) } : {}),
      ...(written.calibration ? { calibration: written.calibration } : {}),
      ...(weighed ? { importance: weighed.origin } : {}),
      ...(execution ? { execution: executionReport(execution, written.grids) } : {}),
      seconds: (performance.now() - started) / 1000,
    };
    await folder.writeText(PROVENANCE_FILE, `${JSON.stringify(provenance(result), null, 2)}\n`);
    throwIfAborted(options.signal);
    await folder.commit();
    complete = true;
    return result;
  } finally {
    if (await journal?.close(complete))
      options.onEvent?.({ warning: 'what is finished is kept: the same command goes on behind it', item: 'journal' });
    await folder?.abort();
    await statistics?.hessians?.close();
    await checkpoint?.close();
  }
}

function warnWhenQuantized({ name, tensors }: Checkpoint, { onEvent }: RunOptions): void {
  const stored = [...tensors.values()].flatMap(({ storage }) => storage ?? []);
  if (stored.length === 0) return;
  onEvent?.({
    warning: `${name} is quantized already (${stored.length} of ${tensors.size} tensors are ${[...new Set(stored)].join(', ')}). Quantizing it again adds to what was lost: start from the full-precision model if there is one, or let calibrant convert take the codes over as they are where the format can hold them.`,
    item: 'model',
  });
}

function withOrigin(input: FormatInput, weighed: { readonly origin: ImportanceOrigin } | undefined): FormatInput {
  return { ...input, ...(weighed ? { importance: weighed.origin } : {}) };
}
