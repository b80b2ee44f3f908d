import {
  type Backend,
  type BlockScheme,
  CalibrantError,
  type Checkpoint,
  elementCount,
  type ImportanceMatrix,
  type ModelFacts,
  type PlannedTensor,
  type Recipe,
  type Registry,
  type RunOptions,
} from '@calibrant/core';
import { sourcesOf } from '../importance/named-entries.js';
import { matchesPattern } from '../plan/patterns.js';
import { plannedBytes } from '../plan/planned-bytes.js';
import { assignScheme, sharedOptions } from '../plan/resolve-scheme.js';
import { allocate } from './allocate.js';
import { measureLosses } from './measure-loss.js';

/** Choices where the recipe names none; those that are not registered, and those that need importance where there is none, are left out. */
const TYPES = ['IQ1_M', 'IQ2_XXS', 'IQ2_S', 'Q2_K', 'IQ3_XXS', 'IQ3_S', 'Q3_K', 'IQ4_XS', 'Q4_K', 'Q5_K', 'Q6_K', 'Q8_0'];

/** Points of the trade of size against loss that are reported. */
const REPORTED_POINTS = 16;

export interface TargetReport {
  /** Of tensor data. */
  readonly budgetBytes: number;
  /** Sum over the tensors of the part of a layer's output that becomes noise (of its energy), the output projection counting twice the number of blocks. */
  readonly loss: number;
  /** No choice of types within the budget has a smaller sum. */
  readonly bound: number;
  /** The best sum at other sizes. */
  readonly frontier: readonly { readonly bytes: number; readonly bitsPerWeight: number; readonly loss: number }[];
}

export interface TargetInput extends RunOptions {
  readonly recipe: Recipe;
  readonly plan: readonly PlannedTensor[];
  readonly checkpoint: Checkpoint;
  readonly facts: ModelFacts;
  readonly matrix: ImportanceMatrix | undefined;
  /** The checkpoint's name of the output projection, and the number of blocks. */
  readonly head: { readonly name: string; readonly blocks: number };
  readonly registry: Registry;
  readonly backend: Backend;
}

/**
 * Replaces the types of the tensors that the plan stores in blocks by those that lose least at the recipe's target size. Losses are measured: each tensor is
 * encoded and decoded in each type.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` when even the smallest types do not fit, with the size that they need.
 */
export async function planForTarget(input: TargetInput): Promise<{ plan: PlannedTensor[]; report: TargetReport }> {
  const { plan, checkpoint, matrix, backend, onEvent, signal } = input;
  const free = plan.filter((tensor) => tensor.scheme.kind === 'block' && !isNamed(input.recipe, tensor));
  const fixed = plan.reduce((sum, tensor) => sum + (free.includes(tensor) ? 0 : plannedBytes(tensor)), 0);
  const parameters = plan.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const budget = await budgetOf(input, parameters);
  const candidates = free.map((tensor) => candidatesFor(tensor, input));
  const choices: { bytes: number; loss: number }[][] = [];
  for (const [i, tensor] of free.entries()) {
    onEvent?.({ phase: 'Measuring types', done: i, total: free.length, unit: 'tensors', item: tensor.name });
    const losses = await measureLosses(checkpoint, tensor, candidates[i], matrix, backend, signal);
    const weight = weightOf(tensor, input.head);
    choices.push(candidates[i].map((scheme, c) => ({ bytes: plannedBytes({ ...tensor, scheme }), loss: weight * losses[c] })));
  }
  onEvent?.({ phase: 'Measuring types', done: free.length, total: free.length, unit: 'tensors' });
  const found = allocate(choices, budget - fixed);
  if (!found) throw tooSmall(fixed + choices.reduce((sum, of) => sum + Math.min(...of.map(({ bytes }) => bytes)), 0), budget, parameters);
  const schemes = new Map(free.map((tensor, i) => [tensor.name, candidates[i][found.chosen[i]]]));
  const every = Math.max(1, Math.ceil(found.frontier.length / REPORTED_POINTS));
  return {
    plan: plan.map((tensor) => ({ ...tensor, scheme: schemes.get(tensor.name) ?? tensor.scheme })),
    report: {
      budgetBytes: budget,
      loss: found.loss,
      bound: found.bound,
      frontier: found.frontier
        .filter((_, i) => i % every === 0 || i === found.frontier.length - 1)
        .map(({ bytes, loss }) => ({ bytes: bytes + fixed, bitsPerWeight: (8 * (bytes + fixed)) / parameters, loss })),
    },
  };
}

/**
 * How much a tensor's noise counts. The residual stream is a sum of two branches per block, so that noise in a layer of one of them reaches the logits as about one part in
 * 2 · blocks, noise of the output projection whole; the smaller one counts 1.
 */
function weightOf(tensor: PlannedTensor, { name, blocks }: TargetInput['head']): number {
  return sourcesOf(tensor).includes(name) ? 2 * blocks : 1;
}

/** A type that the recipe gives to a tensor by its name stays. */
function isNamed({ overrides }: Recipe, tensor: PlannedTensor): boolean {
  const names = [tensor.name, ...sourcesOf(tensor)];
  return Object.keys(overrides).some((pattern) => names.some((name) => matchesPattern(name, pattern)));
}

/** Bytes for tensor data: what is left of the file beside its metadata, of which the tokenizer's text is an upper bound. */
async function budgetOf({ recipe, plan, checkpoint }: TargetInput, parameters: number): Promise<number> {
  const { bytes, bitsPerWeight } = recipe.target ?? {};
  if (bytes === undefined) return Math.floor((parameters * (bitsPerWeight ?? 0)) / 8);
  const tokenizer = new TextEncoder().encode((await checkpoint.text('tokenizer.json')) ?? '').length;
  return bytes - tokenizer - 65536 - 128 * plan.length;
}

function candidatesFor(tensor: PlannedTensor, { recipe, facts, matrix, registry }: TargetInput): BlockScheme[] {
  const names = recipe.target?.types ?? TYPES.filter((name) => registry.find('scheme', name));
  const found = new Map<string, BlockScheme>();
  for (const name of names) {
    const scheme = assignScheme({ name, options: sharedOptions(recipe.scheme.options) }, [tensor], facts, registry, true).get(tensor.name);
    if (scheme?.kind === 'block' && !(scheme.needsImportance && !matrix?.entries.has(tensor.name))) found.set(scheme.type, scheme);
  }
  if (found.size === 0 && tensor.scheme.kind === 'block') found.set(tensor.scheme.type, tensor.scheme);
  return [...found.values()];
}

function tooSmall(least: number, budget: number, parameters: number): CalibrantError {
  return new CalibrantError(
    'INVALID_ARGUMENT',
    `The target leaves ${(budget / 1e6).toFixed(1)} MB for tensors, and the smallest types need ${(least / 1e6).toFixed(1)} MB (${((8 * least) / parameters).toFixed(2)} bits per weight). Raise it, or allow smaller types in recipe.target.types; those that need an importance matrix come with --imatrix.`,
    { option: 'recipe.target' },
  );
}
