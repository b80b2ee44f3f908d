import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { bitsandbytesSchemes } from '@calibrant/bitsandbytes-format';
import { type BlockScheme, type ModelFacts, type Tensor, tensor } from '@calibrant/core';

export interface Stored {
  readonly dtype: 'u8' | 'i8' | 'f32';
  readonly shape: readonly number[];
  readonly sha256: string;
  readonly base64?: string;
}

export interface GoldenCase {
  readonly scheme: string;
  readonly offset?: number;
  /** By what follows the module's `.weight` (or its name: `.SCB`). */
  readonly tensors: Readonly<Record<string, Stored>>;
  readonly values: Stored;
}

interface Golden {
  readonly x: Stored;
  readonly cases: readonly GoldenCase[];
}

/** What bitsandbytes makes of known weights, by tools/interop/bitsandbytes/golden.py. */
export const golden = JSON.parse(readFileSync(new URL('./golden/bitsandbytes.json', import.meta.url), 'utf8')) as {
  readonly small: Golden;
  readonly large: Golden;
};

export function sha256({ data: { buffer, byteOffset, byteLength } }: Pick<Tensor, 'data'>): string {
  return createHash('sha256')
    .update(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength))
    .digest('hex');
}

const ARRAYS = { u8: Uint8Array, i8: Int8Array, f32: Float32Array } as const;

export function contentOf({ dtype, shape, base64 }: Stored): Tensor {
  const bytes = new Uint8Array(Buffer.from(base64 ?? '', 'base64'));
  return tensor(dtype, shape, new ARRAYS[dtype](bytes.buffer));
}

const f = Math.fround;

/** The weights of the large cases, as the script makes them. */
export function largeWeights(): Tensor {
  const [rows, columns] = golden.large.x.shape;
  const x = new Float32Array(rows * columns);
  for (let i = 0; i < x.length; i++) {
    const y = f((Math.imul(i, 2654435761) + 12345) >>> 8) * 2 ** -24 - 0.5;
    x[i] = f(f(y * y) * y);
  }
  return tensor('f32', [rows, columns], x);
}

export const smallWeights = (): Tensor => contentOf(golden.small.x);

/** The grid of a scheme's name for rows of `columns`, as a recipe gets it. */
export function gridOf(name: string, columns: number): BlockScheme {
  const facts = { linears: new Set(['w']) } as unknown as ModelFacts;
  for (const scheme of bitsandbytesSchemes()) {
    const options = scheme.name === name ? {} : scheme.optionsOfName?.(name);
    if (options)
      return scheme.assign([{ name: 'w', source: 'w', shape: [1, columns] }], facts, scheme.options.parse(options)).get('w') as BlockScheme;
  }
  throw new Error(`no scheme ${name}`);
}
