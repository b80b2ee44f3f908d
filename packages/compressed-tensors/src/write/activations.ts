import { type ActivationOf, moduleName, type NamedTensorSpec, type PartWriter } from '@calibrant/checkpoint';
import {
  type ActivationGrid,
  type ActivationScheme,
  CalibrantError,
  type ExecutionPlan,
  type ModelFacts,
  type PlannedTensor,
  tensor,
} from '@calibrant/core';

/** Tensors for the static grids of an execution plan, each optional until its scale is known. */
export interface StoredActivations {
  readonly extra: readonly NamedTensorSpec[];
  write(of: ActivationOf, grid: ActivationGrid, to: PartWriter): Promise<void>;
  /** Static grids whose scales have not come. */
  missing(): readonly string[];
}

/**
 * `X.input_scale` (and `X.input_zero_point`) of linear layers with static inputs, `self_attn.k_scale` and `v_scale` of blocks with a static cache of keys and values.
 */
export function storedActivations(
  execution: ExecutionPlan | undefined,
  plan: readonly PlannedTensor[],
  facts: ModelFacts,
): StoredActivations {
  const places = new Map<string, { readonly name: string; readonly scheme: ActivationScheme; readonly known: ActivationGrid }>();
  const add = (key: string, name: string, grid: ActivationGrid) => {
    if (!grid.scheme.dynamic) places.set(key, { name, scheme: grid.scheme, known: grid });
  };
  for (const { name, source, scheme } of plan) {
    const grid = scheme.kind === 'float' ? undefined : execution?.activations.get(source ?? name);
    if (grid) add(keyOf({ linear: source ?? name }), `${moduleName(name)}.input`, grid);
  }
  for (const [block, { key, value }] of execution?.keyValueCache ?? []) {
    const prefix = attentionPrefix(block, facts);
    add(keyOf({ block, part: 'key' }), `${prefix}.k`, key);
    add(keyOf({ block, part: 'value' }), `${prefix}.v`, value);
  }
  const waiting = new Set(places.keys());
  return {
    extra: [...places.values()].flatMap(({ name, scheme }): NamedTensorSpec[] => [
      { name: `${name}_scale`, dtype: 'f32', shape: [1] },
      ...(scheme.symmetric ? [] : [{ name: `${name}_zero_point`, dtype: 'i8' as const, shape: [1] }]),
    ]),
    async write(of, grid, to) {
      const place = places.get(keyOf(of));
      if (!place || grid.scale === undefined) return;
      waiting.delete(keyOf(of));
      await to.write(`${place.name}_scale`, tensor('f32', [1], Float32Array.of(grid.scale)));
      const { bits, symmetric } = place.scheme;
      // The format's codes are signed.
      if (!symmetric) await to.write(`${place.name}_zero_point`, tensor('i8', [1], Int8Array.of((grid.zeroPoint ?? 0) - 2 ** (bits - 1))));
    },
    missing: () => [...waiting].map((key) => places.get(key)?.name ?? key),
  };
}

function keyOf(of: ActivationOf): string {
  return 'linear' in of ? of.linear : `${of.block} ${of.part}`;
}

/** `model.layers.3.self_attn`, found by the linear layers of the block. */
function attentionPrefix(block: number, { linears }: ModelFacts): string {
  for (const name of linears) {
    const match = new RegExp(`^(.*\\.${block}\\.(?:self_attn|attn|attention|self_attention))\\.`).exec(name);
    if (match) return match[1];
  }
  throw new CalibrantError(
    'UNSUPPORTED',
    `compressed-tensors keeps scales of cached keys and values beside an attention module, and block ${block} has none that is known by name. Leave the cache unquantized.`,
    { option: 'recipe.keyValueCache' },
  );
}
