import {
  CalibrantError,
  type Format,
  type FormatInput,
  type ModelFacts,
  type OutputTensor,
  type PlannedTensor,
  type Recipe,
  type Registry,
  type RunOptions,
  type TensorScheme,
} from '@calibrant/core';
import { checkGroupSizes } from './check-group-sizes.js';
import { matchesPattern } from './patterns.js';
import { assignScheme, sharedOptions } from './resolve-scheme.js';

/**
 * Decides the grid of every tensor of the output before anything is computed, and checks that the format can hold them.
 *
 * @throws CalibrantError for a grid that the format cannot hold, a group size that does not divide, a pattern that matches nothing.
 */
export async function makePlan(
  recipe: Recipe,
  format: Format,
  formatOptions: unknown,
  input: FormatInput,
  registry: Registry,
  { onEvent }: RunOptions = {},
): Promise<PlannedTensor[]> {
  const { facts } = input;
  const outputs = await format.outputs(input, formatOptions);
  const warn = (warning: string) => onEvent?.({ warning, item: 'scheme' });
  const assigned = new Map(assignScheme(recipe.scheme, outputs, facts, registry, false, warn));
  for (const [pattern, { scheme: name }] of Object.entries(recipe.overrides)) {
    const matched = matching(outputs, pattern, 'overrides');
    if (name === undefined) continue;
    const schemes = assignScheme({ name, options: sharedOptions(recipe.scheme.options) }, matched, facts, registry, true);
    if (matched.every((output) => schemes.get(output.name) === undefined)) throw noLinear(pattern, name, matched[0]);
    for (const output of matched) assigned.set(output.name, schemes.get(output.name));
  }
  for (const pattern of recipe.keep) for (const output of matching(outputs, pattern, 'keep')) assigned.set(output.name, undefined);

  const plan = outputs.map(
    (output): PlannedTensor => ({
      ...output,
      scheme: assigned.get(output.name) ?? format.floatScheme(output, facts, formatOptions),
    }),
  );
  checkGroupSizes(plan);
  for (const tensor of plan) checkAccepted(format, tensor, tensor.scheme);
  checkSomethingIsQuantized(plan, recipe, facts);
  return plan;
}

function matching(outputs: readonly OutputTensor[], pattern: string, option: string): OutputTensor[] {
  const matched = outputs.filter(
    ({ name, source }) => matchesPattern(name, pattern) || (source !== undefined && matchesPattern(source, pattern)),
  );
  if (matched.length === 0)
    throw new CalibrantError(
      'INVALID_RECIPE',
      `The pattern "${pattern}" in recipe.${option} matches no tensor. Names look like ${examples(outputs)}; * stands for any characters.`,
      { option: `recipe.${option}` },
    );
  return matched;
}

function noLinear(pattern: string, scheme: string, { name }: OutputTensor): CalibrantError {
  return new CalibrantError(
    'INVALID_RECIPE',
    `The pattern "${pattern}" in recipe.overrides matches ${name}, which ${scheme} does not quantize: it covers the weights of linear layers inside blocks, and the output projection with quantizeLmHead (--quantize-lm-head).`,
    { option: 'recipe.overrides', tensor: name },
  );
}

/** A matrix within a block, by its names in the output and in the checkpoint. */
function examples(outputs: readonly OutputTensor[]): string {
  const found = outputs.find(({ name, shape }) => shape.length > 1 && /\.\d+\./.test(name)) ?? outputs[0];
  const names = [...new Set([found?.name, found?.source])].filter((name) => name !== undefined);
  return names.length > 0 ? names.join(' or ') : 'model.layers.0.self_attn.q_proj.weight';
}

function checkAccepted(format: Format, tensor: PlannedTensor, scheme: TensorScheme): void {
  const accepted = format.accepts(scheme);
  if (accepted !== true)
    throw new CalibrantError('UNSUPPORTED', `The format "${format.name}" cannot hold the tensor ${tensor.name}: ${accepted}`, {
      tensor: tensor.name,
      option: 'recipe.scheme',
    });
}

/** A recipe that quantizes nothing is a mistake unless its scheme is a float type. */
function checkSomethingIsQuantized(plan: readonly PlannedTensor[], recipe: Recipe, facts: ModelFacts): void {
  if (plan.some(({ scheme }) => scheme.kind !== 'float') || /^(f32|f16|bf16|float)$/i.test(recipe.scheme.name)) return;
  if (recipe.keep.length === 0)
    throw new CalibrantError(
      'INVALID_RECIPE',
      `The recipe quantizes no tensor: the blocks of ${recipe.scheme.name} divide the rows of none, and all of them would be stored as floats. Choose a scheme of smaller blocks, or a float type such as F16.`,
      { option: 'recipe.scheme' },
    );
  throw new CalibrantError(
    'INVALID_RECIPE',
    `The recipe quantizes no tensor: the patterns in recipe.keep cover all ${facts.linears.size} weights of linear layers. Remove some of them.`,
    { option: 'recipe.keep' },
  );
}
