import { type Backend, CalibrantError, type Checkpoint, type ExecutionPlan, type Registry, type RunOptions } from '@calibrant/core';
import type { ModelIdentity } from '@calibrant/eval';
import { openTokenizer, type Tokenizer, type Transformer } from '@calibrant/transformer';
import { bindActivationCalibrator } from '../execution/activation-calibrator.js';
import { type ExecutionNames, overriddenPlan } from '../execution/named-plan.js';
import { openModel } from '../open-model.js';
import { openRegistered } from '../open-transformer.js';
import { openStatistics } from '../statistics/check-statistics.js';
import { withStaticInputs } from '../statistics/static-plan.js';
import { identifyModel } from './model-identity.js';

/** A model that is ready to be measured. */
export interface OpenedModel {
  /** What the user named. */
  readonly reference: string;
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
  readonly transformer: Transformer;
  /** Computed once, when it is first asked for. */
  identity(): Promise<ModelIdentity>;
}

/** Opens the models, runs `body`, and closes them whatever happens. The first one runs as `execution` says, where it does; all others as they ask for themselves. */
export async function withModels<Result>(
  references: readonly (string | undefined)[],
  options: RunOptions & { readonly registry: Registry; readonly backend: Backend; readonly execution?: ExecutionNames },
  body: (...models: (OpenedModel | undefined)[]) => Promise<Result>,
): Promise<Result> {
  const opened: (OpenedModel | undefined)[] = [];
  const checkpoints: Checkpoint[] = [];
  try {
    for (const [i, reference] of references.entries()) {
      if (reference === undefined) {
        opened.push(undefined);
        continue;
      }
      const checkpoint = await openModel(reference, options);
      checkpoints.push(checkpoint);
      const tokenizer = await openTokenizer(checkpoint);
      const plain = openRegistered(checkpoint, options.backend, options.registry);
      const names = i === 0 ? options.execution : undefined;
      const transformer = names
        ? openRegistered(
            checkpoint,
            options.backend,
            options.registry,
            overriddenPlan(checkpoint, plain.description, names, await completion(names, checkpoint, plain, options.registry)),
          )
        : plain;
      let identity: Promise<ModelIdentity> | undefined;
      opened.push({
        reference,
        checkpoint,
        tokenizer,
        transformer,
        identity() {
          identity ??= identifyModel(reference, checkpoint);
          return identity;
        },
      });
    }
    return await body(...opened);
  } finally {
    for (const model of opened) await model?.transformer.release();
    await Promise.all(checkpoints.map((checkpoint) => checkpoint.close()));
  }
}

/** @throws CalibrantError `SHAPE_MISMATCH` for models whose predictions are over different tokens */
export function checkVocabulary(model: OpenedModel, base: OpenedModel): void {
  const [ours, theirs] = [model, base].map(({ transformer }) => transformer.description.vocabSize);
  if (ours === theirs) return;
  throw new CalibrantError(
    'SHAPE_MISMATCH',
    `The vocabulary of ${model.reference} has ${ours} tokens, that of ${base.reference} ${theirs}: their predictions cannot be compared token by token. Give the full-precision model that ${model.reference} was made from.`,
    { option: '--base' },
  );
}

/** How static grids of inputs get their scales: from the statistics that the names give. */
async function completion(
  { statistics, calibrator }: ExecutionNames,
  checkpoint: Checkpoint,
  transformer: Transformer,
  registry: Registry,
): Promise<(plan: ExecutionPlan) => ExecutionPlan> {
  if (statistics === undefined) return (plan) => plan;
  const bound = bindActivationCalibrator({ activationCalibrator: calibrator }, registry);
  const found = await openStatistics(statistics, checkpoint, transformer);
  return (plan) => withStaticInputs(plan, found, bound);
}
