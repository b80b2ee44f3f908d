import type { BlockTypeName } from '../blocks/block-types.js';
import type { Role } from './roles.js';

/** ggml's name of a tensor type. */
export type TypeName = BlockTypeName;

/** What a rule may decide by. */
export interface Place {
  /** Number of the tensor among those of its role, in llama-quantize's order; in a model of experts, the layer of a feed-forward tensor. */
  readonly index: number;
  /** How many there are: value projections, or layers. */
  readonly count: number;
  readonly queriesPerKey: number;
  readonly experts: number;
  readonly falcon: boolean;
  /** Three dimensions: the matrices of several experts. */
  readonly stacked: boolean;
  /** An importance matrix is at hand. */
  readonly importance: boolean;
}

export type Condition = (place: Place) => boolean;

export interface Rule {
  readonly of: Role | 'any';
  readonly to: TypeName;
  readonly when?: Condition;
}

/** What llama-quantize calls a file type: a base type and rules that give some tensors another one; the first rule that applies counts. */
export interface Mixture {
  readonly name: string;
  /** llama.cpp's number: `general.file_type`. */
  readonly fileType: number;
  readonly description: string;
  readonly base: TypeName;
  /** The output layer, or the embedding that stands for it; Q6_K if absent. */
  readonly output?: TypeName;
  /** An embedding of its own; the base if absent. */
  readonly embedding?: TypeName;
  readonly rules?: readonly Rule[];
  /** Values and keys of models with eight experts, and values of the 70B models, keep to these rules. */
  readonly withoutBumps?: boolean;
  /** Types that this mixture gives no tensor without importance, beside those that never go without. */
  readonly needsImportance?: TypeName;
}

export const shared: Condition = ({ queriesPerKey }) => queriesPerKey >= 4;
export const eightExperts: Condition = ({ experts }) => experts === 8;
export const falcon: Condition = (place) => place.falcon;
export const unweighted: Condition = ({ importance }) => !importance;
export const stacked: Condition = (place) => place.stacked;
export const firstFew =
  (limit: number): Condition =>
  ({ index }) =>
    index < limit;
/** The first layers: one of each so many. */
export const firstOf =
  (parts: number): Condition =>
  ({ index, count }) =>
    index < Math.floor(count / parts);
export const firstEighth = firstOf(8);
/** All but the outer eighths. */
export const inner: Condition = ({ index, count }) => index >= Math.floor(count / 8) && index < Math.floor((7 * count) / 8);
/** The outer eighths, and every third between. */
export const spread: Condition = (place) => !inner(place) || (place.index - Math.floor(place.count / 8)) % 3 === 2;
export const not =
  (condition: Condition): Condition =>
  (place) =>
    !condition(place);
export const both =
  (...conditions: Condition[]): Condition =>
  (place) =>
    conditions.every((condition) => condition(place));
export const either =
  (a: Condition, b: Condition): Condition =>
  (place) =>
    a(place) || b(place);
