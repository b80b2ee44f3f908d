import {
  type Backend,
  type BlockScheme,
  type BlockTensor,
  createReferenceBackend,
  parseOptions,
  type Tensor,
  tensor,
} from '@calibrant/core';
import { blockScheme } from '@calibrant/gguf-format';
import { type GptqOptions, gptq } from '@calibrant/gptq';

export interface BlockOutcome {
  readonly tensor: BlockTensor;
  readonly facts: Readonly<Record<string, number | string | boolean>>;
  readonly warnings: readonly string[];
}

export function schemeOf(type: string): BlockScheme {
  const scheme = blockScheme(type as Parameters<typeof blockScheme>[0]);
  if (scheme.kind !== 'block') throw new Error(`${type} is no block type`);
  return scheme;
}

/** Fills the blocks of one layer called `layer.weight`. */
export async function quantizeBlocks(
  weight: Tensor,
  hessian: Tensor,
  scheme: BlockScheme,
  options: GptqOptions = {},
  backend: Backend = createReferenceBackend(),
): Promise<BlockOutcome> {
  const plugin = gptq();
  const warnings: string[] = [];
  const [w, h] = [await backend.upload(weight), await backend.upload(hessian)];
  const result = await plugin.quantizeBlocks!(
    { name: 'layer.weight', weight: w, scheme, observations: { hessian: h, tokens: 1 } },
    parseOptions(plugin.options, options, 'gptq'),
    { backend, warn: (message) => void warnings.push(message) },
  );
  backend.free(w, h);
  return { tensor: result.tensor, facts: result.facts ?? {}, warnings };
}

/** What the blocks decode to. */
export function decoded({ scheme, shape, bytes }: BlockTensor): Float32Array {
  const blocks = tensor('u8', [shape[0], bytes.length / shape[0]], bytes);
  return scheme.decode.reference({ blocks }, {}, { start: 0, end: shape[0] }).x.data as Float32Array;
}
