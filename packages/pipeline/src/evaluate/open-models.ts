import type { Backend, Checkpoint, Registry, RunOptions } from '@calibrant/core';
import type { ModelIdentity } from '@calibrant/eval';
import { openTokenizer, type Tokenizer, type Transformer } from '@calibrant/transformer';
import { openModel } from '../open-model.js';
import { openRegistered } from '../open-transformer.js';
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

/** Opens the models, runs `body`, and closes them whatever happens. */
export async function withModels<Result>(
  references: readonly (string | undefined)[],
  options: RunOptions & { readonly registry: Registry; readonly backend: Backend },
  body: (...models: (OpenedModel | undefined)[]) => Promise<Result>,
): Promise<Result> {
  const opened: (OpenedModel | undefined)[] = [];
  const checkpoints: Checkpoint[] = [];
  try {
    for (const reference of references) {
      if (reference === undefined) {
        opened.push(undefined);
        continue;
      }
      const checkpoint = await openModel(reference, options);
      checkpoints.push(checkpoint);
      const tokenizer = await openTokenizer(checkpoint);
      const transformer = openRegistered(checkpoint, options.backend, options.registry);
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
