import {
  type AffineTensor,
  type Backend,
  createReferenceBackend,
  createRng,
  parseAffineScheme,
  parseOptions,
  type Tensor,
  tensor,
} from '@calibrant/core';
import { type GptqOptions, gptq } from '@calibrant/gptq';

/** A normal weight `[rows, columns]`. */
export function normalWeight(rows: number, columns: number, seed: number): Tensor {
  const random = createRng(seed);
  return tensor(
    'f32',
    [rows, columns],
    Float32Array.from({ length: rows * columns }, () => random.normal()),
  );
}

/** `2/n · XᵀX` (full, f32) of n tokens whose channels mix the same few sources, so that they are strongly correlated. */
export function correlatedHessian(columns: number, tokens: number, seed: number): Tensor {
  const random = createRng(seed);
  const mixing = Array.from({ length: columns * columns }, () => random.normal());
  const h = new Float64Array(columns * columns);
  for (let t = 0; t < tokens; t++) {
    const sources = Array.from({ length: columns }, (_, i) => random.normal() / (1 + i / 2));
    const x = sources.map((_, j) => sources.reduce((sum, source, i) => sum + source * mixing[i * columns + j], 0));
    for (let i = 0; i < columns; i++) for (let j = 0; j < columns; j++) h[i * columns + j] += (2 / tokens) * x[i] * x[j];
  }
  return tensor('f32', [columns, columns], Float32Array.from(h));
}

export interface Outcome {
  readonly tensor: AffineTensor;
  readonly facts: Readonly<Record<string, number | string | boolean>>;
  readonly warnings: readonly string[];
}

/** Quantizes one layer called `layer.weight`. */
export async function quantizeLayer(
  weight: Tensor,
  hessian: Tensor,
  scheme: string,
  options: GptqOptions = {},
  backend: Backend = createReferenceBackend(),
  tokens: { readonly tokens: number; readonly calibrationTokens?: number } = { tokens: 1 },
): Promise<Outcome> {
  const plugin = gptq();
  const warnings: string[] = [];
  const [w, h] = [await backend.upload(weight), await backend.upload(hessian)];
  const result = await plugin.quantize(
    { name: 'layer.weight', weight: w, scheme: parseAffineScheme(scheme)!, observations: { hessian: h, ...tokens } },
    parseOptions(plugin.options, options, 'gptq'),
    { backend, warn: (message) => void warnings.push(message) },
  );
  backend.free(w, h);
  return { tensor: result.tensor, facts: result.facts ?? {}, warnings };
}
