import { CalibrantError, type ModelFacts, type OutputTensor } from '@calibrant/core';
import type { BlockTypeName } from '../blocks/block-types.js';
import { blockOf, compareTensorNames } from '../models/tensor-names.js';
import type { Mixture, TypeName } from './mixture.js';
import { type ModelShape, modelShape } from './model-shape.js';
import { type Role, roleOf } from './roles.js';
import { blockSizeOf, isQuantizable, type Search, typeForRow } from './tensor-types.js';

/** What a person may say beside the mixture. */
export interface TypeChoices {
  readonly search?: Search | undefined;
  readonly pure?: boolean | undefined;
  readonly noFallback?: boolean | undefined;
  readonly outputTensorType?: BlockTypeName | undefined;
  readonly tokenEmbeddingType?: BlockTypeName | undefined;
  /** Regular expression of names to type; the first that matches counts. */
  readonly tensorTypes?: Readonly<Record<string, BlockTypeName>> | undefined;
}

/** A type that does not fit a tensor's rows, and the one in its place. */
export interface Fallback {
  readonly tensor: OutputTensor;
  readonly wanted: TypeName;
  readonly taken: TypeName;
}

/**
 * The type of each quantized tensor by llama-quantize's rules. The counters run over the tensors in llama-quantize's order, so the given order is
 * irrelevant; a tensor whose type was chosen by hand does not advance them.
 *
 * @throws CalibrantError `SHAPE_MISMATCH` for a type that does not fit when `noFallback` is set.
 */
export function assignTypes(
  tensors: readonly OutputTensor[],
  facts: ModelFacts,
  mixture: Mixture,
  choices: TypeChoices,
  onFallback?: (fallback: Fallback) => void,
): Map<string, TypeName> {
  const ordered = [...tensors].sort((a, b) => compareTensorNames(a.name, b.name));
  const typeByRules = mixtureRules(mixture, modelShape(ordered, facts), {
    values: ordered.filter(({ name }) => roleOf(name) === 'value').length,
    importance: facts.importance !== undefined,
    outputTensorType: choices.outputTensorType,
  });
  const patterns = Object.entries(choices.tensorTypes ?? {}).map(([pattern, type]) => [expression(pattern), type] as const);
  for (const [pattern] of patterns) if (!ordered.some((tensor) => matches(pattern, tensor))) throw unmatched(pattern, ordered);
  const types = new Map<string, TypeName>();
  for (const tensor of ordered) {
    if (!isQuantizable(tensor)) continue;
    const role = roleOf(tensor.name);
    const chosen =
      (role === 'embedding' ? choices.tokenEmbeddingType : role === 'output' ? choices.outputTensorType : undefined) ??
      patterns.find(([pattern]) => matches(pattern, tensor))?.[1] ??
      (choices.pure ? mixture.base : typeByRules(tensor, role));
    const taken = fitting(chosen, tensor, choices.noFallback === true);
    if (taken !== chosen) onFallback?.({ tensor, wanted: chosen, taken });
    types.set(tensor.name, taken);
  }
  return types;
}

/** Whether a pattern is found in a tensor's name in the file or in the checkpoint. */
function matches(pattern: RegExp, { name, source }: OutputTensor): boolean {
  return pattern.test(name) || (source !== undefined && pattern.test(source));
}

function unmatched({ source }: RegExp, tensors: readonly OutputTensor[]): CalibrantError {
  const example = tensors.find(({ name }) => name.startsWith('blk.'))?.name ?? 'blk.0.attn_v.weight';
  return new CalibrantError(
    'INVALID_ARGUMENT',
    `No tensor's name matches "${source}", for which a type is given. Names look like ${example}.`,
    { option: 'tensorTypes' },
  );
}

function expression(pattern: string): RegExp {
  try {
    return new RegExp(pattern);
  } catch (cause) {
    throw new CalibrantError('INVALID_ARGUMENT', `Option tensorTypes: "${pattern}" is no regular expression of tensor names.`, {
      option: 'tensorTypes',
      cause,
    });
  }
}

/** The type itself, or what llama.cpp takes where its blocks do not divide the rows. */
function fitting(type: TypeName, { name, shape }: OutputTensor, noFallback: boolean): TypeName {
  const columns = shape.at(-1) ?? 1;
  const fits = typeForRow(type, columns);
  if (fits !== type && noFallback)
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `Tensor "${name}" has rows of ${columns} elements, which ${type} blocks of ${blockSizeOf(type)} do not divide; it would become ${fits}, but noFallback is set. Choose a type with smaller blocks for it.`,
      { tensor: name },
    );
  return fits;
}

/** A mixture's rules as a function to call on tensors in llama-quantize's order, because it counts them. */
function mixtureRules(
  { base, output = 'Q6_K', embedding = base, rules = [], withoutBumps = false }: Mixture,
  model: ModelShape,
  { values, importance, outputTensorType }: { values: number; importance: boolean; outputTensorType: TypeName | undefined },
): (tensor: OutputTensor, role: Role) => TypeName {
  const counters = new Map<Role, number>();
  return ({ name, shape }, role) => {
    if (role === 'output' || (role === 'embedding' && model.tied)) {
      if (outputTensorType) return outputTensorType;
      return model.falcon || (shape.at(-1) ?? 1) % blockSizeOf(base) !== 0 ? 'Q8_0' : output;
    }
    if (role === 'embedding' && !rules.some(({ of }) => of === 'any')) return embedding;
    const counted = counters.get(role) ?? 0;
    counters.set(role, counted + 1);
    const feedForward = role === 'up' || role === 'gate' || role === 'down';
    const place = {
      ...model,
      // The feed-forward tensors of a layer with experts are several.
      index: feedForward && model.experts > 1 && !withoutBumps ? blockOf(name) : counted,
      count: feedForward ? model.layers : values,
      stacked: shape.length > 2 && shape[0] > 1,
      importance,
    };
    const rule = rules.find(({ of, when }) => (of === 'any' || of === role) && (when?.(place) ?? true));
    const type = rule?.to ?? base;
    if (withoutBumps) return type;
    if (model.experts === 8 && (role === 'value' || role === 'key')) return 'Q8_0';
    // The values of a 70B model are shared by eight heads and small: llama.cpp spends a bit more on them.
    return role === 'value' && model.is70B && (type === 'Q3_K' || type === 'Q4_K') ? 'Q5_K' : type;
  };
}
