import {
  type AffineScheme,
  CalibrantError,
  type DType,
  groupsPerRow,
  type ModelFacts,
  type PlannedTensor,
  schemeGroupSize,
  type TensorSpec,
} from '@calibrant/core';
import { wordsFor } from '../bits.js';
import type { CompressedTensorsOptions } from '../options.js';

/** One tensor of the file. */
export interface StoredPart extends TensorSpec {
  readonly name: string;
}

/** How a planned tensor is stored. */
export interface StoredTensor {
  readonly planned: PlannedTensor;
  readonly parts: readonly StoredPart[];
  /** Written when the quantizer used groups that are not contiguous. */
  readonly groupIndex?: StoredPart;
}

/** The parts of a linear layer's weight on an integer grid, or the tensor itself. */
export function storedTensor(planned: PlannedTensor, facts: ModelFacts, options: CompressedTensorsOptions): StoredTensor {
  const { name, shape, scheme } = planned;
  if (scheme.kind === 'float') return { planned, parts: [{ name, dtype: scheme.dtype, shape }] };
  if (scheme.kind === 'block')
    throw new CalibrantError('UNSUPPORTED', `compressed-tensors has no ${scheme.type} blocks, asked for in ${name}.`, { tensor: name });
  const module = moduleOf(planned, facts);
  const [out, columns] = shape;
  const groups = gridColumns(scheme, shape, name);
  const scaleShape = scheme.granularity === 'tensor' ? [1] : [out, groups];
  const parts: StoredPart[] = [
    { name: `${module}.weight_packed`, dtype: 'i32', shape: [out, wordsFor(columns, scheme.bits)] },
    { name: `${module}.weight_scale`, dtype: scaleDtype(planned, facts, options), shape: scaleShape },
    { name: `${module}.weight_shape`, dtype: 'i64', shape: [2] },
  ];
  if (!scheme.symmetric)
    parts.push(
      scheme.granularity === 'tensor'
        ? { name: `${module}.weight_zero_point`, dtype: 'i8', shape: [1] }
        : { name: `${module}.weight_zero_point`, dtype: 'i32', shape: [wordsFor(out, scheme.bits), groups] },
    );
  return {
    planned,
    parts,
    ...(scheme.granularity === 'group' ? { groupIndex: { name: `${module}.weight_g_idx`, dtype: 'i32', shape: [columns] } } : {}),
  };
}

/** `model.layers.0.self_attn.q_proj` of a linear layer's weight. */
function moduleOf({ name, source, shape }: PlannedTensor, facts: ModelFacts): string {
  const linear = name === 'lm_head.weight' || (source !== undefined && facts.linears.has(source));
  if (linear && shape.length === 2 && name.endsWith('.weight')) return name.slice(0, -'.weight'.length);
  throw new CalibrantError(
    'UNSUPPORTED',
    `compressed-tensors packs the weights of linear layers, and ${name} [${shape.join(', ')}] is none. Keep it unquantized (recipe.keep).`,
    { tensor: name, option: 'recipe.keep' },
  );
}

function gridColumns(scheme: AffineScheme, [, columns]: readonly number[], name: string): number {
  if (scheme.granularity !== 'group') return 1;
  const groupSize = schemeGroupSize(scheme, columns);
  if (columns % groupSize !== 0)
    throw new CalibrantError(
      'UNSUPPORTED',
      `The group size ${groupSize} does not divide the ${columns} inputs of ${name}, and compressed-tensors has no shorter last group. Use a group size that divides ${columns}, or one scale per row (int${scheme.bits}-channel).`,
      { tensor: name, option: 'recipe.scheme' },
    );
  return groupsPerRow(columns, groupSize);
}

function scaleDtype(tensor: PlannedTensor, facts: ModelFacts, { scaleDtype: wanted }: CompressedTensorsOptions): DType {
  return wanted === 'auto' ? sourceFloat(tensor.source, facts) : wanted;
}

/** The float type of a source tensor; of a quantized source the type that the model's config names. */
export function sourceFloat(source: string | undefined, { tensors, config }: ModelFacts): 'f32' | 'f16' | 'bf16' {
  const found = source === undefined ? undefined : tensors.get(source);
  if (found && found.storage === undefined && (found.dtype === 'f32' || found.dtype === 'f16' || found.dtype === 'bf16'))
    return found.dtype;
  const named = config.dtype ?? config.torch_dtype;
  return named === 'float16' ? 'f16' : named === 'bfloat16' ? 'bf16' : 'f32';
}
