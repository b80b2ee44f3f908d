import { createHash } from 'node:crypto';
import path from 'node:path';
import type { Backend, Checkpoint, ImportanceMatrix, PlannedTensor, Recipe, RunOptions } from '@calibrant/core';
import { versions } from '../evaluate/versions.js';
import { type Journal, openJournal } from './journal.js';

export interface RunJournalOptions extends RunOptions {
  readonly out: string;
  readonly backend: Backend;
  /** Seconds between notes; no journal without. */
  readonly journalEvery?: number;
}

/** What a run is told to do. */
interface Work {
  readonly recipe: Recipe;
  readonly plan: readonly PlannedTensor[];
  readonly importance: ImportanceMatrix | undefined;
}

/** The journal of a run of {@link quantizeModel}, in a hidden folder beside the output. */
export async function openRunJournal(
  { out, backend, journalEvery, onEvent }: RunJournalOptions,
  checkpoint: Checkpoint,
  work: Work,
): Promise<Journal | undefined> {
  if (journalEvery === undefined) return undefined;
  const target = path.resolve(out);
  const folder = path.join(path.dirname(target), `.${path.basename(target)}.journal`);
  const journal = await openJournal(folder, { key: await keyOf(checkpoint, work, backend), every: journalEvery });
  if (!journal) onEvent?.({ warning: `another run is writing ${out}; this one could not go on after being stopped`, item: 'journal' });
  return journal;
}

/**
 * Says of two runs that they do the same work: the same recipe, plan and importance by the same version, on a model with the same tensors (by the first row
 * of each).
 */
async function keyOf(checkpoint: Checkpoint, { recipe, plan, importance }: Work, { name: backend }: Backend): Promise<string> {
  const hash = createHash('sha256');
  const planned = plan.map(({ name, source, shape, scheme }) => ({ name, source, shape, scheme }));
  hash.update(JSON.stringify({ recipe, planned, backend, versions: versions(), config: checkpoint.config }));
  for (const [name, { sums }] of importance?.entries ?? []) hash.update(name).update(bytesOf(sums));
  for (const { name } of checkpoint.tensors.values()) {
    const { data } = await checkpoint.read(name, { start: 0, end: 1 });
    hash.update(name).update(bytesOf(data));
  }
  return hash.digest('hex');
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
