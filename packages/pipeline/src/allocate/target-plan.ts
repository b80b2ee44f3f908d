import {
  type Backend,
  type BlockScheme,
  CalibrantError,
  type Checkpoint,
  elementCount,
  type FloatScheme,
  type Format,
  type FormatInput,
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
const TYPES = ['IQ1_M', 'IQ2_XXS', 'IQ2_S', 'IQ2_M', 'Q2_K', 'IQ3_XXS', 'IQ3_S', 'Q3_K', 'IQ4_XS', 'Q4_K', 'Q5_K', 'Q6_K', 'Q8_0', 'F16'];

/** Points of the trade of size against loss that are reported. */
const REPORTED_POINTS = 16;

export interface TargetReport {
  /** Of tensor data. */
  readonly budgetBytes: number;
  /** Of tensor data, as chosen. */
  readonly bytes: number;
  readonly bitsPerWeight: number;
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
  /** The format of the output, and what it is opened with. */
  readonly format: Format;
  readonly formatOptions: unknown;
  readonly input: FormatInput;
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
  const sizes = free.map((tensor, i) => candidates[i].map((scheme) => plannedBytes({ ...tensor, scheme })));
  const total = (pick: (...of: number[]) => number) => fixed + sizes.reduce((sum, of) => sum + pick(...of), 0);
  if (total(Math.min) > budget) throw tooSmall(total(Math.min), budget, parameters, input);
  if (total(Math.max) < budget) onEvent?.({ warning: tooLarge(total(Math.max), budget, parameters), item: 'target' });
  const choices: { bytes: number; loss: number }[][] = [];
  for (const [i, tensor] of free.entries()) {
    onEvent?.({ phase: 'Measuring types', done: i, total: free.length, unit: 'tensors', item: tensor.name });
    const losses = await measureLosses(checkpoint, tensor, candidates[i], matrix, backend, signal);
    const weight = weightOf(tensor, input.head);
    // What overflows in a type is no choice while there is another.
    choices.push(sizes[i].map((bytes, c) => ({ bytes, loss: Number.isFinite(losses[c]) ? weight * losses[c] : Number.MAX_VALUE })));
  }
  onEvent?.({ phase: 'Measuring types', done: free.length, total: free.length, unit: 'tensors' });
  const found = allocate(choices, budget - fixed);
  if (!found) throw tooSmall(total(Math.min), budget, parameters, input);
  const schemes = new Map(free.map((tensor, i) => [tensor.name, candidates[i][found.chosen[i]]]));
  const every = Math.max(1, Math.ceil(found.frontier.length / REPORTED_POINTS));
  return {
    plan: plan.map((tensor) => ({ ...tensor, scheme: schemes.get(tensor.name) ?? tensor.scheme })),
    report: {
      budgetBytes: budget,
      bytes: found.bytes + fixed,
      bitsPerWeight: (8 * (found.bytes + fixed)) / parameters,
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
  return Object.entries(overrides).some(
    ([pattern, { scheme }]) => scheme !== undefined && names.some((name) => matchesPattern(name, pattern)),
  );
}

/** Bytes for tensor data: what is left of the target beside the metadata. */
async function budgetOf({ recipe, plan, format, formatOptions, input }: TargetInput, parameters: number): Promise<number> {
  const { bytes, bitsPerWeight } = recipe.target ?? {};
  if (bytes === undefined) return Math.floor((parameters * (bitsPerWeight ?? 0)) / 8);
  return bytes - ((await format.bytesBeside?.(input, plan, formatOptions)) ?? 0);
}

function candidatesFor(tensor: PlannedTensor, { recipe, facts, matrix, registry }: TargetInput): (BlockScheme | FloatScheme)[] {
  const names = recipe.target?.types ?? TYPES.filter((name) => registry.find('scheme', name));
  const found = new Map<string, BlockScheme | FloatScheme>();
  for (const name of names) {
    const scheme = assignScheme({ name, options: sharedOptions(recipe.scheme.options) }, [tensor], facts, registry, true).get(tensor.name);
    if (scheme?.kind === 'float') found.set(scheme.dtype, scheme);
    if (scheme?.kind === 'block' && !(scheme.needsImportance && !matrix?.entries.has(tensor.name))) found.set(scheme.type, scheme);
  }
  if (found.size === 0 && tensor.scheme.kind === 'block') found.set(tensor.scheme.type, tensor.scheme);
  return [...found.values()];
}

const inMegabytes = (bytes: number) => `${(Math.max(0, bytes) / 1e6).toFixed(1)} MB`;

function tooSmall(least: number, budget: number, parameters: number, { recipe, matrix }: TargetInput): CalibrantError {
  const smaller = matrix ? 'allow smaller types (--target-types)' : 'give an importance matrix (--imatrix), which smaller types need';
  return new CalibrantError(
    'INVALID_ARGUMENT',
    `The target is too small: it leaves ${inMegabytes(budget)} for tensors, and the smallest types need ${inMegabytes(least)} (${((8 * least) / parameters).toFixed(2)} bits per weight). Raise it, or ${recipe.target?.types ? 'allow other types (--target-types)' : smaller}.`,
    { option: 'recipe.target' },
  );
}

function tooLarge(most: number, budget: number, parameters: number): string {
  return `The target is larger than the model: it leaves ${inMegabytes(budget)} for tensors, and the largest types to choose from take ${inMegabytes(most)} (${((8 * most) / parameters).toFixed(2)} bits per weight). Every tensor gets the best of them.`;
}
